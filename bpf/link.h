/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the start of a frame to its network header: Ethernet and VLAN tags. */
#ifndef MICROSEG_LINK_H
#define MICROSEG_LINK_H

/* Bytes asked for in place before parsing: two tags, the longest IPv4 header and TCP's fixed part. */
#define MS_LINEAR 128
#define MS_MAX_VLAN_TAGS 2

ms_inline int ms_is_vlan(__be16 ethertype)
{
	return ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD);
}

/*
 * Find the network header: sets *ethertype (network order) and *offset. Returns an outcome, 0 to go on. The kernel
 * keeps the outer tag of most frames beside them; it counts as one.
 */
ms_inline __u32 ms_parse_ethernet(ms_frame *frame, __be16 *ethertype, __u32 *offset)
{
	void *data = ms_frame_start(frame), *end = ms_frame_end(frame);
	struct ethhdr *ethernet = data;
	__u32 at = sizeof(*ethernet), tags = 0;
	__be16 type;

	if ((void *)(ethernet + 1) > end)
		return MS_DROP_TRUNCATED;
	type = ethernet->h_proto;
	if (ms_is_vlan(type)) {
		tags = ms_frame_has_tag_beside(frame);
#pragma unroll
		for (int i = 0; i < MS_MAX_VLAN_TAGS; i++) {
			__be16 *tag = data + at; /* TCI, then the next ethertype */

			if (!ms_is_vlan(type))
				break;
			if ((void *)(tag + 2) > end)
				return MS_DROP_TRUNCATED;
			type = tag[1];
			at += 2 * sizeof(*tag);
			tags++;
		}
		if (ms_is_vlan(type) || tags > MS_MAX_VLAN_TAGS)
			return MS_DROP_VLAN_DEPTH;
	}
	*ethertype = type;
	*offset = at;
	return 0;
}

#endif

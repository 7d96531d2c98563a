/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the data plane is measured against, from its own headers and on its own maps. Never attached. Programs of
 * the second part send each packet from another address in turn, of as many as skb->mark says.
 */
#include "microseg_tc.c"

/* Parse, and have the compiler believe that all of the packet is needed. */
ms_inline __u32 reference_parse(struct __sk_buff *skb, struct ms_packet *packet)
{
	__u32 outcome = ms_parse(skb, packet, MS_LINK_ETHERNET);

	asm volatile("" : : "r"(packet) : "memory");
	return outcome;
}

int reference_empty(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

int reference_parse_only(struct __sk_buff *skb)
{
	struct ms_packet packet = {};

	return reference_parse(skb, &packet) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

/*
 * The layout to be better than: one lookup in an LRU hash, the kernel's clock, and three counters, each in a per-CPU
 * map of its own. A miss opens a session, so that each run but the first is a hit.
 */
struct reference_session {
	__u64 last_seen_ns;
	__u64 packets;
	__u64 bytes;
	__u8 rest[40];
};
MS_MAP("lru_hash", struct ms_key4, struct reference_session, plain_sessions, MS_ENTRIES_SESSION4, 0);
BPF_TABLE("percpu_array", int, __u64, plain_packets, 1);
BPF_TABLE("percpu_array", int, __u64, plain_hits, 1);
BPF_TABLE("percpu_array", int, __u64, plain_bytes, 1);

ms_inline int reference_document(struct __sk_buff *skb)
{
	struct reference_session *session, first = {};
	struct ms_packet packet = {};
	int zero = 0;
	__u64 now, *count;

	if (reference_parse(skb, &packet))
		return TC_ACT_SHOT;
	now = bpf_ktime_get_ns();
	count = plain_packets.lookup(&zero);
	if (count)
		(*count)++;
	session = plain_sessions.lookup(&packet.key4);
	if (!session) {
		plain_sessions.update(&packet.key4, &first);
		return TC_ACT_UNSPEC;
	}
	session->last_seen_ns = now;
	session->packets++;
	session->bytes += skb->len;
	count = plain_hits.lookup(&zero);
	if (count)
		(*count)++;
	count = plain_bytes.lookup(&zero);
	if (count)
		*count += skb->len;
	return TC_ACT_UNSPEC;
}

int reference_plain(struct __sk_buff *skb)
{
	return reference_document(skb);
}

/* Many flows. */
BPF_TABLE("percpu_array", int, __u32, reference_turn, 1);

/* Far enough from each other that no prefetching makes them cheap; a prime, so that all get their turn. */
#define REFERENCE_STRIDE 7919

/* Address n of a flow is 10, then n with its low bits first. */
ms_inline void reference_vary(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u8 *source = data + 26;
	int zero = 0;
	__u32 *turn = reference_turn.lookup(&zero), now;

	if ((void *)(source + 4) > end || !turn)
		return;
	now = *turn + REFERENCE_STRIDE;
	if (now >= skb->mark)
		now -= skb->mark;
	*turn = now;
	source[1] = now;
	source[2] = now >> 8;
	source[3] = now >> 16;
}

int reference_many_parse_only(struct __sk_buff *skb)
{
	struct ms_packet packet = {};

	reference_vary(skb);
	return reference_parse(skb, &packet) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

int reference_many_plain(struct __sk_buff *skb)
{
	reference_vary(skb);
	return reference_document(skb);
}

/* A bare lookup of our own session. */
int reference_many_lookup(struct __sk_buff *skb)
{
	struct ms_packet packet = {};
	struct ms_session *session;

	reference_vary(skb);
	if (reference_parse(skb, &packet))
		return TC_ACT_SHOT;
	session = ms_session_find(&packet);
	return session && session->generation ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

int reference_many_filter(struct __sk_buff *skb)
{
	reference_vary(skb);
	return ms_filter(skb, MS_DIRECTION_INGRESS, MS_LINK_ETHERNET);
}

/* Packets of another client in turn: 24 bits of its address, for IPv6 those from the third group on and the last. */
int reference_clients_filter(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u8 *source = data + 22;
	int zero = 0;
	__u32 *turn = reference_turn.lookup(&zero), now;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		reference_vary(skb);
	} else if ((void *)(source + 16) <= end && turn) {
		now = *turn += REFERENCE_STRIDE;
		source[4] = now;
		source[5] = now >> 8;
		source[15] = now >> 16;
	}
	return ms_filter(skb, MS_DIRECTION_INGRESS, MS_LINK_ETHERNET);
}

/* Packets of one client, from each of its ports in turn. */
int reference_ports_filter(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u8 *port = data + (skb->protocol == bpf_htons(ETH_P_IP) ? 34 : 54);
	int zero = 0;
	__u32 *turn = reference_turn.lookup(&zero), now;

	if ((void *)(port + 2) <= end && turn) {
		now = *turn += REFERENCE_STRIDE;
		port[0] = now;
		port[1] = now >> 8;
	}
	return ms_filter(skb, MS_DIRECTION_INGRESS, MS_LINK_ETHERNET);
}

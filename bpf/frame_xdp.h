/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The packet in hand as XDP has it: a buffer of the driver's, all of it in one piece. See frame_tc.h. */
#ifndef MICROSEG_FRAME_H
#define MICROSEG_FRAME_H

#include "abi.h"

typedef struct xdp_md ms_frame;

#define MS_LONGEST_LINK 22 /* Ethernet with two tags */
#define MS_RETURN_PASS XDP_PASS
#define MS_RETURN_DROP XDP_DROP

/* Longer than any frame in one piece; the verifier wants a bound to an offset. */
#define MS_FRAME_BOUND 0x7fff

ms_inline void *ms_frame_start(const ms_frame *frame)
{
	return (void *)(long)frame->data;
}

ms_inline void *ms_frame_end(const ms_frame *frame)
{
	return (void *)(long)frame->data_end;
}

ms_inline __u32 ms_frame_length(const ms_frame *frame)
{
	return frame->data_end - frame->data;
}

ms_inline __u32 ms_frame_ifindex(const ms_frame *frame)
{
	return frame->ingress_ifindex;
}

/* XDP isn't told; the version in the first byte is what there is. */
ms_inline __be16 ms_frame_ethertype(const ms_frame *frame)
{
	const __u8 *first = ms_frame_start(frame);

	if ((void *)(first + 1) > ms_frame_end(frame))
		return 0;
	return *first >> 4 == 6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
}

/* Packets are put together only behind XDP. */
ms_inline int ms_frame_is_large(const ms_frame *frame)
{
	return 0;
}

ms_inline void ms_frame_pull(ms_frame *frame, const __u32 bytes)
{
}

/* Where `bytes` are, `offset` into the frame; 0 when it ends before. */
ms_inline void *ms_frame_at(const ms_frame *frame, __u32 offset, const __u32 bytes)
{
	void *at;

	asm volatile("" : "+r"(offset)); /* or the compiler makes it 16 bits wide, and of the bound a sign */
	if (offset > MS_FRAME_BOUND)
		return 0;
	at = ms_frame_start(frame) + offset;
	return at + bytes > ms_frame_end(frame) ? 0 : at;
}

ms_inline int ms_frame_load(ms_frame *frame, __u32 offset, void *to, const __u32 bytes)
{
	void *from = ms_frame_at(frame, offset, bytes);

	if (!from)
		return -1;
	__builtin_memcpy(to, from, bytes);
	return 0;
}

/* Tags are in the bytes, unless the driver is told to take them off. */
ms_inline int ms_frame_has_tag_beside(const ms_frame *frame)
{
	return 0;
}

/* XDP isn't told; a driver hands over other hosts' frames only where somebody listens to all. */
ms_inline int ms_frame_is_for_us(const ms_frame *frame)
{
	return 1;
}

ms_inline int ms_frame_store(ms_frame *frame, __u32 offset, const void *from, const __u32 bytes)
{
	void *to = ms_frame_at(frame, offset, bytes);

	if (!to)
		return -1;
	__builtin_memcpy(to, from, bytes);
	return 0;
}

/* Longer at its front, where every driver leaves room, and behind a short frame few do. */
ms_inline int ms_frame_grow(ms_frame *frame, __u32 bytes)
{
	__u8 link[MS_LONGEST_LINK];

	if (ms_frame_load(frame, 0, link, sizeof(link)) || bpf_xdp_adjust_head(frame, -(int)bytes))
		return -1;
	return ms_frame_store(frame, 0, link, sizeof(link));
}

ms_inline int ms_frame_resize(ms_frame *frame, __u32 bytes)
{
	__u32 length = ms_frame_length(frame);

	asm volatile("" : "+r"(length)); /* a number, no longer the difference of two pointers */
	if (bytes > length)
		return ms_frame_grow(frame, bytes - length);
	return bpf_xdp_adjust_tail(frame, (int)(bytes - length));
}

/* Sent by the driver at once: no program of egress sees it. */
ms_inline int ms_frame_turn(ms_frame *frame, __u32 direction)
{
	return XDP_TX;
}

ms_inline int ms_frame_comes_back(ms_frame *frame)
{
	return 0;
}

/* Questions are put to the TC program, whose context has room for the answer. */
ms_inline void ms_frame_answer(ms_frame *frame, const __u32 word[5])
{
}

#endif

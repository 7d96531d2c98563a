/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The packet in hand as TC has it: a socket buffer. frame_xdp.h says the same of XDP, and an entry file includes one
 * of them first; everything else is written against these names, so that parsing, sessions and policy exist once.
 */
#ifndef MICROSEG_FRAME_H
#define MICROSEG_FRAME_H

#include "abi.h"

typedef struct __sk_buff ms_frame;

/* What the program returns. To pass is to say "unspecified", so that programs behind this one still run. */
#define MS_RETURN_PASS TC_ACT_UNSPEC
#define MS_RETURN_DROP TC_ACT_SHOT

ms_inline void *ms_frame_start(const ms_frame *frame)
{
	return (void *)(long)frame->data;
}

/* Behind the last byte that can be read in place. */
ms_inline void *ms_frame_end(const ms_frame *frame)
{
	return (void *)(long)frame->data_end;
}

/* Bytes of the whole packet, its link header included. */
ms_inline __u32 ms_frame_length(const ms_frame *frame)
{
	return frame->len;
}

ms_inline __u32 ms_frame_ifindex(const ms_frame *frame)
{
	return frame->ifindex;
}

/* Ethertype of a packet without a link header. */
ms_inline __be16 ms_frame_ethertype(const ms_frame *frame)
{
	return frame->protocol;
}

/* 1: several packets in one on their way through this host (GSO, GRO), whose length may exceed 64 KiB. */
ms_inline int ms_frame_is_large(const ms_frame *frame)
{
	return frame->gso_size != 0;
}

/* Have the first `bytes` where they can be read in place; a frame that has them already costs two loads. */
ms_inline void ms_frame_pull(ms_frame *frame, const __u32 bytes)
{
	__u32 linear = frame->data_end - frame->data;

	if (linear < bytes && linear < frame->len)
		bpf_skb_pull_data(frame, frame->len < bytes ? frame->len : bytes);
}

/* Copy bytes from anywhere in the packet. Returns 0, or less when it ends before. */
ms_inline int ms_frame_load(ms_frame *frame, __u32 offset, void *to, const __u32 bytes)
{
	return bpf_skb_load_bytes(frame, offset, to, bytes);
}

/* 1: it has a VLAN tag that the kernel keeps beside its bytes. */
ms_inline int ms_frame_has_tag_beside(const ms_frame *frame)
{
	return frame->vlan_present != 0;
}

/* 1: its link header names this host; of what comes in only. */
ms_inline int ms_frame_is_for_us(const ms_frame *frame)
{
	return frame->pkt_type == 0; /* PACKET_HOST */
}

/* Make the packet so many bytes long, in one piece and writable. Returns 0 when it worked. */
ms_inline int ms_frame_resize(ms_frame *frame, __u32 bytes)
{
	return bpf_skb_change_tail(frame, bytes, 0);
}

ms_inline int ms_frame_store(ms_frame *frame, __u32 offset, const void *from, const __u32 bytes)
{
	return bpf_skb_store_bytes(frame, offset, from, bytes, BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH);
}

/*
 * Send the packet back through its interface: what came in goes out, what was to go out comes in. It meets the program
 * of the other direction, which knows it by its mark. Only an administrator of this network namespace can set marks.
 */
ms_inline int ms_frame_turn(ms_frame *frame, __u32 direction)
{
	frame->mark = MS_ANSWER_MARK;
	return bpf_redirect(frame->ifindex, direction == MS_DIRECTION_EGRESS ? BPF_F_INGRESS : 0);
}

/* 1 for a packet that was turned; takes the mark off, which is nobody else's business. */
ms_inline int ms_frame_comes_back(ms_frame *frame)
{
	if (frame->mark != MS_ANSWER_MARK)
		return 0;
	frame->mark = 0;
	return 1;
}

/* Write the answer to a question of user space (see ms_rest_of_question); the last word carries the question's number.
 */
ms_inline void ms_frame_answer(ms_frame *frame, const __u32 word[5])
{
	frame->cb[0] = word[0];
	frame->cb[1] = word[1];
	frame->cb[2] = word[2];
	frame->cb[3] = word[3];
	frame->cb[4] = word[4];
}

#endif

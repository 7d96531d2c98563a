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

/* Write the answer to a question of user space (see ms_answer); the last word carries the question's number. */
ms_inline void ms_frame_answer(ms_frame *frame, const __u32 word[5])
{
	frame->cb[0] = word[0];
	frame->cb[1] = word[1];
	frame->cb[2] = word[2];
	frame->cb[3] = word[3];
	frame->cb[4] = word[4];
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of the packet in hand once it leaves the hot path, per CPU. It is in a map rather than on the stack
 * because the entry programs hand it over by a tail call, and because the verifier knows nothing of what is read back
 * from a map: it takes all steps of the search for the same and is done in one.
 *
 * The kernel runs the programs with softirqs off, so a packet is never interrupted by another one on its CPU. Only
 * PROG_TEST_RUN of older kernels can be: its packet carries a nonce, and the caller asks again when it is lost.
 */
#ifndef MICROSEG_SCRATCH_H
#define MICROSEG_SCRATCH_H

#include "maps.h"
#include "parse.h"

/* What is asked: may `client` (an endpoint of the key, 0 or 1) send this to the other one? Ports in host order. */
struct ms_question {
	__u32 client;
	__u16 source_port;
	__u16 destination_port; /* type << 8 | code for ICMP */
};

/* State of the search and its answer. */
struct ms_search {
	struct ms_policy_key key; /* probed next */
	__u32 i, j, k;		  /* positions in the three lists */
	__u32 sources, destinations, services;
	__u32 service[2 * MS_MAX_SERVICES];
	__u32 source[MS_MAX_SETS];
	__u32 destination[MS_MAX_SETS];
	/* the answer */
	__u32 precedence;
	__u32 rule;
	__u32 probes;
	__u8 verdict;
	__u8 flags;
	__u8 reserved[2];
};

struct ms_scratch {
	struct ms_packet packet;
	__u64 now; /* jiffies */
	__u32 generation;
	__u32 outcome; /* 0: not decided yet */
	__u8 direction;
	__u8 probe;   /* 1: answer a question of user space, touch nothing */
	__u8 known;   /* 1: there is a session, of another generation */
	__u8 adopt;   /* 1: TCP in progress, no session */
	__u8 attempt; /* 1: the second direction of a packet to adopt */
	__u8 report;  /* 1: an event is wanted */
	__u8 judged;  /* 1: search holds an answer */
	struct ms_question question;
	struct ms_search search;
};
BPF_TABLE("percpu_array", int, struct ms_scratch, scratch, 1);

/* Where the entry programs go on; made anew with each load, so that programs of two loads never mix. */
#define MS_JUMP_JUDGE 0
BPF_TABLE_PINNED("prog", int, int, jumps, 1, MS_JUMPS_PIN, 0);

#endif

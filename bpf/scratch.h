/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of the packet in hand once it leaves the hot path, per CPU. It is in a map rather than on the stack
 * because the programs hand it over by tail calls, and because the verifier knows nothing of what is read back
 * from a map: it takes all steps of the search for the same and is done in one.
 *
 * Why two packets never meet here: the kernel runs the programs with softirqs off (both hooks sit in softirqs or
 * between local_bh_disable and _enable), transmits nothing from interrupts through a hook, and none of our programs
 * calls bpf_clone_redirect(), which would run the other hook in its middle; bpf_redirect() acts after they ended. On
 * PREEMPT_RT the same sections are serialised by the softirq lock of the CPU (CONFIG_PREEMPT_RT_NEEDS_BH_LOCK).
 * PROG_TEST_RUN before Linux 6.4 leaves softirqs on: so a question of user space has a scratch of its own, where only
 * another question can get in its way; it carries a nonce, and is asked again when its answer was lost.
 */
#ifndef MICROSEG_SCRATCH_H
#define MICROSEG_SCRATCH_H

#include "maps.h"
#include "packet.h"

/* What is asked: may `client` (an endpoint of the key, 0 or 1) send this to the other one? Ports in host order. */
struct ms_question {
	__u32 client;
	__u16 source_port;
	__u16 destination_port; /* type << 8 | code for ICMP */
};

/* What an ICMP error turned out to be about. */
#define MS_RELATED 1
#define MS_RELATED_TO_NOTHING 2

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
	__u8 narrow; /* 1: it hangs on the source port */
	__u8 reserved;
};

struct ms_scratch {
	struct ms_packet packet; /* the one to judge: of an ICMP error whose session is known, the quoted one */
	struct ms_packet error;	 /* the ICMP error, then */
	__u64 now;		 /* jiffies */
	__u32 generation;
	__u32 outcome; /* 0: not decided yet */
	union {
		struct {
			__u8 known;   /* 1: there is a session, of another generation */
			__u8 adopt;   /* 1: a connection in progress, no session */
			__u8 attempt; /* 1: the second direction of a packet to adopt */
			__u8 report;  /* 1: an event is wanted */
			__u8 judged;  /* 1: search holds an answer */
			__u8 reopen;  /* 1: the session it opens takes the place of a closed one */
			__u8 alone;   /* 1: passes or not, but opens no session */
			__u8 related; /* MS_RELATED...; 0: not looked at, or no ICMP error */
		};
		__u64 steps; /* 0: none of them was taken yet */
	};
	__u32 direction;
	__u32 opened; /* ms_openings_now() before the session was looked for */
	struct ms_question question;
	struct ms_search search;
};
BPF_TABLE("percpu_array", int, struct ms_scratch, scratch, 2);

#define MS_SCRATCH_PACKET 0
#define MS_SCRATCH_QUESTION 1

/* Where programs go on; made anew with each load, so that programs of two loads never mix. */
#define MS_JUMP_JUDGE 0
#define MS_JUMP_QUOTE 1
#define MS_JUMP_ANSWER 2
#define MS_JUMP_QUESTION 3
BPF_TABLE_PINNED("prog", int, int, jumps, 4, MS_JUMPS_PIN, 0);

#endif

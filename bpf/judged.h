/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was judged, remembered for a moment. A judgement matches both addresses and the ports and probes a few pairs:
 * under a large policy that is a chain of cache misses, and clients come back. So a verdict has a line, in a region of
 * its own for each CPU. A line speaks for one generation (I1), and for all that the search has asked for: both
 * addresses, protocol, destination port, and the source port where any service that was looked at asks for one.
 */
#ifndef MICROSEG_JUDGED_H
#define MICROSEG_JUDGED_H

#include "debug.h"
#include "scratch.h"

#define MS_JUDGED_JIFFIES 100 /* a second at the lowest rate there is */
#define MS_JUDGED_LINES4 32768
#define MS_JUDGED_LINES6 8192
#define MS_JUDGED_SHARE4 (MS_JUDGED_LINES4 / MS_CPUS + 1)
#define MS_JUDGED_SHARE6 (MS_JUDGED_LINES6 / MS_CPUS + 1)

struct ms_judged {
	__u32 generation; /* 0: empty */
	__u32 until;	  /* jiffies, the low half */
	__u32 rule;
	__u16 destination_port;
	__u16 source_port;
	__u8 protocol;
	__u8 verdict;
	__u8 flags;
	__u8 narrow; /* 1: for this source port only */
	__u32 reserved;
};

struct ms_judged4 {
	struct ms_judged judged;
	__be32 address[2]; /* from, to */
};

struct ms_judged6 {
	struct ms_judged judged;
	struct ms_address6 address[2];
	__u64 reserved;
};

struct ms_judged_set4 {
	struct ms_judged4 way[2]; /* the one written last comes first */
};
_Static_assert(sizeof(struct ms_judged_set4) == 64 && sizeof(struct ms_judged6) == 64, "each is one cache line");

/* Memory that can be mapped begins on a page. */
BPF_F_TABLE("array", int, struct ms_judged_set4, judged4, MS_JUDGED_SHARE4 *MS_CPUS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", int, struct ms_judged6, judged6, MS_JUDGED_SHARE6 *MS_CPUS, BPF_F_MMAPABLE);

/* Where the line of a question is among those of this CPU. */
ms_inline int ms_judged_place(const struct ms_scratch *scratch, __u32 share)
{
	const __u64 factor = MS_HASH_FACTOR, *word = scratch->packet.word;
	const __u32 way = scratch->question.client, port = scratch->question.destination_port;
	__u64 hash = word[0] * factor ^ (port << 9 | scratch->packet.protocol << 1 | way);

	if (scratch->packet.family != 4)
		hash = ((hash * factor ^ word[1]) * factor ^ word[2]) * factor ^ word[3];
	hash ^= hash >> 32;
	hash = hash * factor >> 32;
	return bpf_get_smp_processor_id() * share + (hash * share >> 32);
}

ms_inline int ms_judged_speaks(const struct ms_judged *line, const struct ms_scratch *scratch)
{
	const struct ms_question *question = &scratch->question;

	return line->generation == scratch->generation && line->destination_port == question->destination_port &&
	       line->protocol == scratch->packet.protocol &&
	       (!line->narrow || line->source_port == question->source_port) &&
	       (__s32)(line->until - (__u32)scratch->now) > 0;
}

ms_inline int ms_judged_is_of4(const struct ms_judged4 *line, const struct ms_scratch *scratch)
{
	const __be32 *address = scratch->packet.key4.address;
	const __u32 from = scratch->question.client ? address[1] : address[0];
	const __u32 to = scratch->question.client ? address[0] : address[1];

	return line->address[0] == from && line->address[1] == to && ms_judged_speaks(&line->judged, scratch);
}

ms_inline int ms_judged_is_of6(const struct ms_judged6 *line, const struct ms_scratch *scratch)
{
	const __u64 *key = scratch->packet.word, *word = (const __u64 *)line->address;

	if (scratch->question.client) {
		if (word[0] != key[2] || word[1] != key[3] || word[2] != key[0] || word[3] != key[1])
			return 0;
	} else if (word[0] != key[0] || word[1] != key[1] || word[2] != key[2] || word[3] != key[3]) {
		return 0;
	}
	return ms_judged_speaks(&line->judged, scratch);
}

/* The line that knows the answer; 0: none does. */
ms_inline const struct ms_judged *ms_judged_find(const struct ms_scratch *scratch)
{
	const struct ms_judged_set4 *set;
	const struct ms_judged6 *line;
	int place;

	if (scratch->packet.family == 4) {
		place = ms_judged_place(scratch, MS_JUDGED_SHARE4);
		set = judged4.lookup(&place);
		if (!set)
			return 0;
		if (ms_judged_is_of4(&set->way[0], scratch))
			return &set->way[0].judged;
		return ms_judged_is_of4(&set->way[1], scratch) ? &set->way[1].judged : 0;
	}
	place = ms_judged_place(scratch, MS_JUDGED_SHARE6);
	line = judged6.lookup(&place);
	return line && ms_judged_is_of6(line, scratch) ? &line->judged : 0;
}

/* 1: the answer is remembered; it is in the search then. */
ms_inline int ms_judged_before(struct ms_scratch *scratch)
{
	const struct ms_judged *line = ms_judged_find(scratch);

	if (!line)
		return 0;
	scratch->search.verdict = line->verdict;
	scratch->search.flags = line->flags;
	scratch->search.rule = line->rule;
	ms_trace("judged before: verdict %u by rule %x", line->verdict, line->rule);
	return 1;
}

ms_inline void ms_judged_write(struct ms_judged *line, const struct ms_scratch *scratch)
{
	const struct ms_search *s = &scratch->search;

	line->until = scratch->now + MS_JUDGED_JIFFIES;
	line->rule = s->rule;
	line->destination_port = scratch->question.destination_port;
	line->source_port = scratch->question.source_port;
	line->protocol = scratch->packet.protocol;
	line->verdict = s->verdict;
	line->flags = s->flags;
	line->narrow = s->narrow;
	line->generation = scratch->generation;
}

/* The search has come to its end. */
ms_inline void ms_judged_remember(const struct ms_scratch *scratch)
{
	const __u32 from = scratch->question.client != 0;
	struct ms_judged_set4 *set;
	struct ms_judged6 *line;
	int place;

	if (scratch->packet.family == 4) {
		const __be32 *address = scratch->packet.key4.address;

		place = ms_judged_place(scratch, MS_JUDGED_SHARE4);
		set = judged4.lookup(&place);
		if (!set)
			return;
		set->way[1] = set->way[0];
		set->way[0].address[0] = from ? address[1] : address[0];
		set->way[0].address[1] = from ? address[0] : address[1];
		ms_judged_write(&set->way[0].judged, scratch);
		return;
	}
	place = ms_judged_place(scratch, MS_JUDGED_SHARE6);
	line = judged6.lookup(&place);
	if (!line)
		return;
	line->address[0] = from ? scratch->packet.key6.address[1] : scratch->packet.key6.address[0];
	line->address[1] = from ? scratch->packet.key6.address[0] : scratch->packet.key6.address[1];
	ms_judged_write(&line->judged, scratch);
}

#endif

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
#include "ways.h"

#define MS_JUDGED_JIFFIES 100 /* a second at the lowest rate there is */
#define MS_JUDGED_LINES4 32768
#define MS_JUDGED_LINES6 8192
#define MS_JUDGED_SHARE4 (MS_JUDGED_LINES4 / MS_CPUS + 1)
#define MS_JUDGED_SHARE6 (MS_JUDGED_LINES6 / MS_CPUS + 1)

/* What is remembered of a verdict in one byte: the verdict, flags of the rule, and for which source port. */
#define MS_SAID_VERDICT 0x0f
#define MS_SAID_FLAGS_SHIFT 4
#define MS_SAID_FLAGS 0x70
#define MS_SAID_NARROW 0x80 /* for this source port only */

#define MS_JUDGED_WAYS 3
#define MS_JUDGED_ALL ((1U << MS_JUDGED_WAYS) - 1)

/* Of IPv4 three verdicts share a cache line, its generation and its time. */
struct ms_judged4 {
	__u32 generation;		   /* 0: empty */
	__u32 until;			   /* jiffies, the low half */
	__be32 address[MS_JUDGED_WAYS][2]; /* from, to */
	__u32 rule[MS_JUDGED_WAYS];
	__u16 destination_port[MS_JUDGED_WAYS];
	__u16 source_port[MS_JUDGED_WAYS];
	__u8 protocol[MS_JUDGED_WAYS];
	__u8 said[MS_JUDGED_WAYS]; /* 0: free */
	__u8 turn;		   /* who is replaced next */
	__u8 reserved;
};

struct ms_judged6 {
	__u32 generation;
	__u32 until;
	struct ms_address6 address[2];
	__u32 rule;
	__u16 destination_port;
	__u16 source_port;
	__u8 protocol;
	__u8 said;
	__u8 reserved[14];
};
_Static_assert(sizeof(struct ms_judged4) == 64 && sizeof(struct ms_judged6) == 64, "each is one cache line");

/* Memory that can be mapped begins on a page. */
BPF_F_TABLE("array", int, struct ms_judged4, judged4, MS_JUDGED_SHARE4 *MS_CPUS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", int, struct ms_judged6, judged6, MS_JUDGED_SHARE6 *MS_CPUS, BPF_F_MMAPABLE);

/* Where the line is, among those of this CPU, of `client` asking for a port of the other one. */
ms_inline int ms_judged_place(const struct ms_packet *packet, __u32 client, __u16 destination_port, __u32 share)
{
	const __u64 factor = MS_HASH_FACTOR, *word = packet->word;
	__u64 hash = word[0] * factor ^ ((__u32)destination_port << 9 | packet->protocol << 1 | client);

	if (packet->family != 4)
		hash = ((hash * factor ^ word[1]) * factor ^ word[2]) * factor ^ word[3];
	hash ^= hash >> 32;
	hash = hash * factor >> 32;
	return bpf_get_smp_processor_id() * share + (hash * share >> 32);
}

/* The line of a question of IPv4. */
ms_inline struct ms_judged4 *ms_judged_line4(const struct ms_packet *packet, __u32 client, __u16 destination_port)
{
	int place = ms_judged_place(packet, client, destination_port, MS_JUDGED_SHARE4);

	return judged4.lookup(&place);
}

ms_inline struct ms_judged6 *ms_judged_line6(const struct ms_packet *packet, __u32 client, __u16 destination_port)
{
	int place = ms_judged_place(packet, client, destination_port, MS_JUDGED_SHARE6);

	return judged6.lookup(&place);
}

/* A line without anything of this moment speaks for nobody. */
ms_inline int ms_judged_is_live(__u32 generation, __u32 until, const struct ms_scratch *scratch)
{
	return generation == scratch->generation && (__s32)(until - (__u32)scratch->now) > 0;
}

/*
 * 0 when something is said for ports and protocol of the question; the source port counts only where the search has
 * asked for it. Without a branch: the verifier would follow both ways of each.
 */
ms_inline __u64 ms_judged_differs(__u16 destination_port, __u16 source_port, __u8 protocol, __u8 said,
				  const struct ms_scratch *scratch)
{
	const struct ms_question *question = &scratch->question;
	const __u32 narrow = -(__u32)(said >> 7), nothing = ((__u32)said - 1) >> 31;

	return (destination_port ^ question->destination_port) | (protocol ^ scratch->packet.protocol) |
	       ((source_port ^ question->source_port) & narrow) | nothing;
}

ms_inline __u8 ms_judged_say(struct ms_search *s, __u32 rule, __u8 said)
{
	s->rule = rule;
	s->verdict = said & MS_SAID_VERDICT;
	s->flags = (said & MS_SAID_FLAGS) >> MS_SAID_FLAGS_SHIFT;
	return said;
}

ms_inline __u8 ms_judged_said(const struct ms_search *s)
{
	return (s->verdict & MS_SAID_VERDICT) | (s->flags << MS_SAID_FLAGS_SHIFT & MS_SAID_FLAGS) |
	       (s->narrow ? MS_SAID_NARROW : 0);
}

ms_inline __u8 ms_judged_before4(struct ms_scratch *scratch)
{
	const __be32 *address = scratch->packet.key4.address;
	const __u32 from = scratch->question.client ? address[1] : address[0];
	const __u32 to = scratch->question.client ? address[0] : address[1];
	const struct ms_question *question = &scratch->question;
	const struct ms_judged4 *line = ms_judged_line4(&scratch->packet, question->client, question->destination_port);
	__u32 others = 0;
	__u64 way;

	if (!line || !ms_judged_is_live(line->generation, line->until, scratch))
		return 0;
	for (int way = 0; way < MS_JUDGED_WAYS; way++)
		others |= ms_is_set((line->address[way][0] ^ from) | (line->address[way][1] ^ to) |
				    ms_judged_differs(line->destination_port[way], line->source_port[way],
						      line->protocol[way], line->said[way], scratch))
			  << way;
	if (others == MS_JUDGED_ALL)
		return 0;
	way = ms_first_way(others ^ MS_JUDGED_ALL);
	return ms_judged_say(&scratch->search, line->rule[way], line->said[way]);
}

ms_inline __u8 ms_judged_before6(struct ms_scratch *scratch)
{
	const struct ms_question *question = &scratch->question;
	const struct ms_judged6 *line = ms_judged_line6(&scratch->packet, question->client, question->destination_port);
	const __u64 *key = scratch->packet.word, *word;

	if (!line || !ms_judged_is_live(line->generation, line->until, scratch))
		return 0;
	word = (const __u64 *)line->address;
	if (scratch->question.client) {
		if (word[0] != key[2] || word[1] != key[3] || word[2] != key[0] || word[3] != key[1])
			return 0;
	} else if (word[0] != key[0] || word[1] != key[1] || word[2] != key[2] || word[3] != key[3]) {
		return 0;
	}
	if (ms_judged_differs(line->destination_port, line->source_port, line->protocol, line->said, scratch))
		return 0;
	return ms_judged_say(&scratch->search, line->rule, line->said);
}

/* 1: the answer is remembered; it is in the search then. */
ms_inline int ms_judged_before(struct ms_scratch *scratch)
{
	if (!(scratch->packet.family == 4 ? ms_judged_before4(scratch) : ms_judged_before6(scratch)))
		return 0;
	ms_trace("judged before: verdict %u by rule %x", scratch->search.verdict, scratch->search.rule);
	return 1;
}

ms_inline void ms_judged_remember4(const struct ms_scratch *scratch)
{
	const __be32 *address = scratch->packet.key4.address;
	const __u32 from = scratch->question.client != 0;
	const struct ms_question *question = &scratch->question;
	struct ms_judged4 *line = ms_judged_line4(&scratch->packet, question->client, question->destination_port);
	__u64 way;

	if (!line)
		return;
	if (!ms_judged_is_live(line->generation, line->until, scratch)) {
		for (int each = 0; each < MS_JUDGED_WAYS; each++)
			line->said[each] = 0;
		line->generation = scratch->generation;
		line->until = scratch->now + MS_JUDGED_JIFFIES;
	}
	way = ms_way(line->turn++ % MS_JUDGED_WAYS);
	line->address[way][0] = from ? address[1] : address[0];
	line->address[way][1] = from ? address[0] : address[1];
	line->rule[way] = scratch->search.rule;
	line->destination_port[way] = scratch->question.destination_port;
	line->source_port[way] = scratch->question.source_port;
	line->protocol[way] = scratch->packet.protocol;
	line->said[way] = ms_judged_said(&scratch->search);
}

ms_inline void ms_judged_remember6(const struct ms_scratch *scratch)
{
	const struct ms_address6 *address = scratch->packet.key6.address;
	const __u32 from = scratch->question.client != 0;
	const struct ms_question *question = &scratch->question;
	struct ms_judged6 *line = ms_judged_line6(&scratch->packet, question->client, question->destination_port);

	if (!line)
		return;
	line->generation = scratch->generation;
	line->until = scratch->now + MS_JUDGED_JIFFIES;
	line->address[0] = from ? address[1] : address[0];
	line->address[1] = from ? address[0] : address[1];
	line->rule = scratch->search.rule;
	line->destination_port = scratch->question.destination_port;
	line->source_port = scratch->question.source_port;
	line->protocol = scratch->packet.protocol;
	line->said = ms_judged_said(&scratch->search);
}

/* The search has come to its end. */
ms_inline void ms_judged_remember(const struct ms_scratch *scratch)
{
	if (scratch->packet.family == 4)
		ms_judged_remember4(scratch);
	else
		ms_judged_remember6(scratch);
}

#endif

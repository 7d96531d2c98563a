/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was denied, remembered for a second: one cache line for each packet that would be denied again, a table of them
 * for each CPU. It answers in place of the session lookups and the search, and only while this CPU may send no more
 * events this second: so in a flood, never for the first packets of anything. A line speaks for packets of the same
 * key, direction, signal and settings, under the generation it was judged in (I1), and as long as no session was
 * opened whose key shares its place in `openings`: that session's packets pass.
 */
#ifndef MICROSEG_DENIED_H
#define MICROSEG_DENIED_H

#include "budget.h"
#include "packet.h"
#include "stats.h"

#define MS_DENIED_BITS 8
#define MS_DENIED_PART_BITS 4

struct ms_denied {
	__u64 key[5];
	__u64 way;	  /* ms_denied_way() */
	__u32 generation; /* 0: empty */
	__u32 until;	  /* jiffies, the low half */
	__u32 openings;	  /* what `openings` said before its session was looked for */
	__u32 rule;	  /* that denied; 0: the default */
};
_Static_assert(sizeof(struct ms_denied) == 64, "a denied packet is one cache line");

struct ms_denied_lines {
	struct ms_denied line[1 << MS_DENIED_BITS];
};
BPF_TABLE("percpu_array", int, struct ms_denied_lines, denied, 1 << MS_DENIED_PART_BITS);

/* All that a verdict on a packet hangs on beside its key and the policy. */
ms_inline __u64 ms_denied_way(const struct ms_packet *packet, __u32 direction, const struct ms_settings *settings)
{
	return packet->signal | packet->reversed << 8 | direction << 9 | packet->family << 12 |
	       (__u64)packet->icmp << 16 | (__u64)settings->unasked << 32;
}

/* Later fragments and ICMP messages go other ways; first fragments are remembered by their own. */
ms_inline int ms_is_whole_of_flow(const struct ms_packet *packet)
{
	return packet->kind == MS_KIND_FLOW && !packet->fragmented;
}

/* Its line among those of this CPU; bits below those that choose it choose the place in `openings`. */
ms_inline struct ms_denied *ms_denied_line(__u64 hash)
{
	int part = hash >> (64 - MS_DENIED_PART_BITS);
	struct ms_denied_lines *lines = denied.lookup(&part);

	hash >>= 64 - MS_DENIED_PART_BITS - MS_DENIED_BITS;
	return lines ? &lines->line[hash & ((1 << MS_DENIED_BITS) - 1)] : 0;
}

/* How many sessions were opened whose keys have this packet's place; to be read before its session is looked for. */
ms_inline __u32 *ms_openings_of(__u64 hash)
{
	int place = hash >> 40 & (MS_ENTRIES_OPENINGS - 1);

	return openings.lookup(&place);
}

ms_inline __u32 ms_openings_now(const struct ms_packet *packet)
{
	__u32 *count = ms_openings_of(ms_key_hash(packet));

	return count ? *(volatile __u32 *)count : 0;
}

/* A session of this key was stored: what was denied before it isn't any more. */
ms_inline void ms_openings_tell(const struct ms_packet *packet)
{
	__u32 *count = ms_openings_of(ms_key_hash(packet));

	if (count)
		__sync_fetch_and_add(count, 1);
}

ms_inline int ms_is_key_of(const struct ms_denied *line, const struct ms_packet *packet)
{
	const __u64 *word = packet->word;

	if (line->key[0] != word[0] || line->key[1] != word[1])
		return 0;
	return packet->family == 4 || (line->key[2] == word[2] && line->key[3] == word[3] && line->key[4] == word[4]);
}

/* 1: such a packet was denied within the last second and would be again; it is counted, as the search would have it. */
ms_inline int ms_denied_again(const struct ms_packet *packet, struct ms_stats *stats, __u32 generation, __u32 direction,
			      __u64 now)
{
	int zero = 0;
	struct ms_settings *settings;
	struct ms_denied *line;
	__u32 *count;
	__u64 hash;

	if (!ms_is_spent(MS_BUDGET_EVENTS, now) || !ms_is_whole_of_flow(packet))
		return 0;
	hash = ms_key_hash(packet);
	line = ms_denied_line(hash);
	settings = config.lookup(&zero);
	if (!line || !settings)
		return 0;
	if (line->generation != generation || !ms_is_key_of(line, packet) ||
	    line->way != ms_denied_way(packet, direction, settings) || (__s32)(line->until - (__u32)now) <= 0)
		return 0;
	count = ms_openings_of(hash);
	if (!count || *(volatile __u32 *)count != line->openings)
		return 0;
	stats->outcome[line->rule ? MS_DROP_DENIED : MS_DROP_DEFAULT]++;
	stats->events_limited++;
	ms_count_rule(stats, line->rule, packet->length);
	return 1;
}

/* The policy has denied this packet, for which there was no session after `opened` of them. */
ms_inline void ms_denied_remember(const struct ms_packet *packet, __u32 generation, __u32 direction, __u64 now,
				  __u32 rule, __u32 opened)
{
	int zero = 0;
	struct ms_settings *settings = config.lookup(&zero);
	struct ms_denied *line = ms_denied_line(ms_key_hash(packet));

	if (!settings || !line || !ms_is_whole_of_flow(packet))
		return;
	__builtin_memcpy(line->key, packet->word, sizeof(line->key));
	line->way = ms_denied_way(packet, direction, settings);
	line->generation = generation;
	line->until = now + settings->hz;
	line->openings = opened;
	line->rule = rule;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is counted. Every packet ends in one outcome; every judgement counts for the rule that decided. */
#ifndef MICROSEG_STATS_H
#define MICROSEG_STATS_H

#include "maps.h"
#include "ways.h"

#define MS_RULE_SHARE (MS_ENTRIES_RULE_LINES / MS_CPUS)
#define MS_RULE_ALL ((1U << MS_RULE_WAYS) - 1)

_Static_assert(sizeof(struct ms_rule_line) == 64, "counts of a few rules are one cache line");

/* The line of a rule among those of this CPU: a rule's id is a hash. */
ms_inline struct ms_rule_line *ms_rule_line_of(__u32 rule)
{
	int place = bpf_get_smp_processor_id() * MS_RULE_SHARE + ((__u64)rule * MS_RULE_SHARE >> 32);

	return rule_lines.lookup(&place);
}

/* A bit for each way that has this number. */
ms_inline __u32 ms_rule_ways(const struct ms_rule_line *line, __u32 rule)
{
	__u32 others = 0;

	for (int way = 0; way < MS_RULE_WAYS; way++)
		others |= ms_is_set(line->rule[way] ^ rule) << way;
	return others ^ MS_RULE_ALL;
}

/* Where a rule is counted in its line, from now on if it wasn't; 0: nowhere. A way that is free has no counts. */
ms_inline struct ms_rule_count *ms_rule_way(struct ms_rule_line *line, __u32 rule)
{
	__u32 found = ms_rule_ways(line, rule);

	if (!found) {
		found = ms_rule_ways(line, 0);
		if (!found)
			return 0;
		line->rule[ms_first_way(found)] = rule;
	}
	return &line->count[ms_first_way(found)];
}

/* A rule that found no room in its line. */
ms_inline void ms_count_elsewhere(struct ms_stats *stats, __u32 rule, __u32 length)
{
	struct ms_rule_count *count = rule_counters.lookup(&rule), first = {.packets = 1, .bytes = length};

	if (count) {
		count->packets++;
		count->bytes += length;
	} else if (rule_counters.update(&rule, &first)) {
		stats->rules_full++;
	}
}

/*
 * Count a judged packet for its rule (0: the default): the first of a session, the first of a session after a
 * policy change, and every denied one. What follows in the session is counted in the session.
 */
ms_inline void ms_count_rule(struct ms_stats *stats, __u32 rule, __u32 length)
{
	struct ms_rule_line *line;
	struct ms_rule_count *count;

	if (!rule) {
		stats->default_packets++;
		stats->default_bytes += length;
		return;
	}
	line = ms_rule_line_of(rule);
	count = line ? ms_rule_way(line, rule) : 0;
	if (!count) {
		ms_count_elsewhere(stats, rule, length);
		return;
	}
	count->packets++;
	count->bytes += length;
}

#endif

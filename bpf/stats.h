/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is counted. Every packet ends in one outcome; every judgement counts for the rule that decided. */
#ifndef MICROSEG_STATS_H
#define MICROSEG_STATS_H

#include "maps.h"

/*
 * Count a judged packet for its rule (0: the default): the first of a session, the first of a session after a
 * policy change, and every denied one. What follows in the session is counted in the session.
 */
ms_inline void ms_count_rule(struct ms_stats *stats, __u32 rule, __u32 length)
{
	struct ms_rule_count *count = rule_counters.lookup(&rule);

	if (count) {
		count->packets++;
		count->bytes += length;
	} else {
		struct ms_rule_count first = {.packets = 1, .bytes = length};

		if (rule_counters.update(&rule, &first))
			stats->rules_full++;
	}
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is counted. Every packet ends in one outcome; every judgement counts for the rule that decided. */
#ifndef MICROSEG_STATS_H
#define MICROSEG_STATS_H

#include "maps.h"

#ifdef MS_DEBUG
/* Shown by /sys/kernel/debug/tracing/trace_pipe. At most three arguments. (bcc's own macro wants no macro around.) */
static int (*ms_printk)(const char *format, __u32 size, ...) = (void *)BPF_FUNC_trace_printk;
#define ms_trace(format, ...)                                                                                          \
	({                                                                                                             \
		char text[] = format;                                                                                  \
		ms_printk(text, sizeof(text), ##__VA_ARGS__);                                                          \
	})
#else
#define ms_trace(format, ...)
#endif

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

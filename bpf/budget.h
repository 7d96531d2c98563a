/* SPDX-License-Identifier: GPL-2.0-or-later */
/* So many of a thing each CPU may do in a second. */
#ifndef MICROSEG_BUDGET_H
#define MICROSEG_BUDGET_H

#include "maps.h"

#define MS_BUDGET_EVENTS 0
#define MS_BUDGET_ANSWERS 1

struct ms_budget {
	__u64 second; /* jiffies / hz */
	__u64 spent;  /* in that second */
};
BPF_TABLE("percpu_array", int, struct ms_budget, budgets, 2);

/* Spend one; 0 when there is none left in this second. */
ms_inline int ms_spend(int which, __u32 per_s, __u32 hz, __u64 now)
{
	struct ms_budget *budget = budgets.lookup(&which);
	__u64 second;

	if (!budget || !hz)
		return 0;
	second = now / hz;
	if (budget->second != second) {
		budget->second = second;
		budget->spent = 0;
	}
	return budget->spent++ < per_s;
}

#endif

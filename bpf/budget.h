/* SPDX-License-Identifier: GPL-2.0-or-later */
/* So many of a thing each CPU may do in a second. */
#ifndef MICROSEG_BUDGET_H
#define MICROSEG_BUDGET_H

#include "maps.h"

#define MS_BUDGET_EVENTS 0
#define MS_BUDGET_ANSWERS 1

struct ms_budget {
	__u64 until; /* jiffies: the end of a second */
	__u32 spent; /* in that second */
	__u32 allowed;
};
BPF_TABLE("percpu_array", int, struct ms_budget, budgets, 2);

/* Spend one; 0 when there is none left in this second. */
ms_inline int ms_spend(int which, __u32 per_s, __u32 hz, __u64 now)
{
	struct ms_budget *budget = budgets.lookup(&which);

	if (!budget || !hz)
		return 0;
	if (budget->until <= now) {
		budget->until = (now / hz + 1) * hz;
		budget->spent = 0;
	}
	budget->allowed = per_s;
	if (budget->spent >= per_s)
		return 0;
	budget->spent++;
	return 1;
}

/* 1: there is none left in this second. */
ms_inline int ms_is_spent(int which, __u64 now)
{
	struct ms_budget *budget = budgets.lookup(&which);

	return budget && budget->until > now && budget->spent >= budget->allowed;
}

#endif

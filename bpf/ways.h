/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ways of a set, of which there are four at most: each is a bit of a number. All of it is without branches, since
 * the verifier would follow both ways of each.
 */
#ifndef MICROSEG_WAYS_H
#define MICROSEG_WAYS_H

#include "abi.h"

#define MS_WAY_MASK 3

/* 1 for any number but 0. */
ms_inline __u32 ms_is_set(__u64 number)
{
	__u64 opposite = -number;

	asm volatile("" : "+r"(opposite));
	return (number | opposite) >> 63;
}

/* A way as the verifier wants it: below four. The compiler must not know that the mask changes nothing. */
ms_inline __u64 ms_way(__u64 way)
{
	asm volatile("" : "+r"(way));
	return way & MS_WAY_MASK;
}

/* The first of some ways; there is one. */
ms_inline __u64 ms_first_way(__u64 ways)
{
	const __u64 first = ways & -ways;

	return ms_way((first >> 1) - (first >> 3)); /* of 1, 2, 4, 8: 0, 1, 2, 3 */
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry points for TC (TCX and clsact): to pass is to say "unspecified", so that programs behind this one still run. */
#include "filter.h"
#include "judge.h"

int ms_ingress(struct __sk_buff *skb)
{
	return ms_filter(skb, MS_DIRECTION_INGRESS, MS_LINK_ETHERNET);
}

int ms_egress(struct __sk_buff *skb)
{
	return ms_filter(skb, MS_DIRECTION_EGRESS, MS_LINK_ETHERNET);
}

int ms_ingress_l3(struct __sk_buff *skb)
{
	return ms_filter(skb, MS_DIRECTION_INGRESS, MS_LINK_NONE);
}

int ms_egress_l3(struct __sk_buff *skb)
{
	return ms_filter(skb, MS_DIRECTION_EGRESS, MS_LINK_NONE);
}

/* Reached by tail call. */
int ms_cold(struct __sk_buff *skb)
{
	return ms_rest(skb);
}

/* For PROG_TEST_RUN; never attached. */
int ms_probe(struct __sk_buff *skb)
{
	return ms_ask_policy(skb, MS_LINK_ETHERNET);
}

/* For PROG_TEST_RUN: the clock of last_seen, which user space has no other way to read. cb = jiffies, low and high. */
int ms_clock(struct __sk_buff *skb)
{
	__u64 now = bpf_jiffies64();

	skb->cb[0] = now;
	skb->cb[1] = now >> 32;
	return TC_ACT_UNSPEC;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry points for TC (TCX and clsact). */
#include "frame_tc.h"

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

/* Reached by tail calls. */
int ms_cold(struct __sk_buff *skb)
{
	return ms_rest(skb);
}

int ms_question(struct __sk_buff *skb)
{
	return ms_rest_of_question(skb);
}

int ms_quote(struct __sk_buff *skb)
{
	return ms_rest_of_error(skb);
}

int ms_answer(struct __sk_buff *skb)
{
	return ms_rest_of_rejected(skb);
}

/*
 * A question of user space, through PROG_TEST_RUN only; never attached: what would the policy of generation `mark`
 * say about this frame? Touches nothing. `priority` is a nonce; the answer is in cb, see ms_rest_of_question().
 */
int ms_probe(struct __sk_buff *skb)
{
	struct ms_packet packet = {};
	__u32 outcome = ms_parse(skb, &packet, MS_LINK_ETHERNET);
	int question = MS_SCRATCH_QUESTION;
	struct ms_scratch *rest = scratch.lookup(&question);

	if (!rest)
		return TC_ACT_SHOT;
	rest->outcome = outcome;
	rest->generation = skb->mark;
	rest->now = skb->priority;
	ms_hand_over(skb, rest, &packet, MS_DIRECTION_INGRESS, MS_JUMP_QUESTION);
	return TC_ACT_SHOT;
}

/* For PROG_TEST_RUN: the clock of last_seen, which user space has no other way to read. cb = jiffies, low and high. */
int ms_clock(struct __sk_buff *skb)
{
	__u64 now = bpf_jiffies64();

	skb->cb[0] = now;
	skb->cb[1] = now >> 32;
	return TC_ACT_UNSPEC;
}

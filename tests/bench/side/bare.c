/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a program costs that does nothing but let all pass, or nothing. */
#include <uapi/linux/bpf.h>
#include <uapi/linux/pkt_cls.h>

int bare_pass(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

int bare_drop(struct __sk_buff *skb)
{
	return TC_ACT_SHOT;
}

int bare_xdp_drop(struct xdp_md *xdp)
{
	return XDP_DROP;
}

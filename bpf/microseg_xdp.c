/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry points for XDP, which sees ingress only; ms_egress of microseg_tc.c is attached beside it. */
#include "frame_xdp.h"

#include "filter.h"
#include "judge.h"

int ms_xdp_ingress(struct xdp_md *xdp)
{
	return ms_filter(xdp, MS_DIRECTION_INGRESS, MS_LINK_ETHERNET);
}

int ms_xdp_ingress_l3(struct xdp_md *xdp)
{
	return ms_filter(xdp, MS_DIRECTION_INGRESS, MS_LINK_NONE);
}

/* Reached by tail calls. */
int ms_xdp_cold(struct xdp_md *xdp)
{
	return ms_rest(xdp);
}

int ms_xdp_quote(struct xdp_md *xdp)
{
	return ms_rest_of_error(xdp);
}

int ms_xdp_answer(struct xdp_md *xdp)
{
	return ms_rest_of_rejected(xdp);
}

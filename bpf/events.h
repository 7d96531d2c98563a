/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events for what was denied, rejected, audited or asked to be logged; never for other packets. */
#ifndef MICROSEG_EVENTS_H
#define MICROSEG_EVENTS_H

#include "budget.h"
#include "scratch.h"

ms_inline void ms_event_endpoints(struct ms_event *event, const struct ms_packet *packet)
{
	const int source = packet->reversed ? 1 : 0;

	event->family = packet->family;
	event->protocol = packet->protocol;
	__builtin_memset(event->source, 0, 2 * sizeof(event->source));
	event->source_port = event->destination_port = 0;
	if (packet->family == 4) {
		event->source[0] = source ? packet->key4.address[1] : packet->key4.address[0];
		event->destination[0] = source ? packet->key4.address[0] : packet->key4.address[1];
		event->source_port = source ? packet->key4.port[1] : packet->key4.port[0];
		event->destination_port = source ? packet->key4.port[0] : packet->key4.port[1];
	} else if (packet->family == 6) {
		__builtin_memcpy(event->source, source ? &packet->key6.address[1] : &packet->key6.address[0], 16);
		__builtin_memcpy(event->destination, source ? &packet->key6.address[0] : &packet->key6.address[1], 16);
		event->source_port = source ? packet->key6.port[1] : packet->key6.port[0];
		event->destination_port = source ? packet->key6.port[0] : packet->key6.port[1];
	}
	if (ms_is_icmp(packet)) {
		event->source_port = 0;
		event->destination_port = bpf_htons(packet->icmp);
	}
}

ms_inline void ms_report(ms_frame *frame, struct ms_stats *stats, const struct ms_scratch *scratch)
{
	const int of_error = scratch->related == MS_RELATED;
	int zero = 0;
	struct ms_settings *settings = config.lookup(&zero);
	struct ms_event *event;

	if (!settings || !ms_spend(MS_BUDGET_EVENTS, settings->events_per_s, settings->hz, scratch->now)) {
		stats->events_limited++;
		return;
	}
	event = flow_events.ringbuf_reserve(sizeof(*event));
	if (!event) {
		stats->events_lost++;
		return;
	}
	event->boot_ns = bpf_ktime_get_boot_ns();
	event->generation = scratch->generation;
	event->rule = scratch->judged ? scratch->search.rule : 0;
	event->ifindex = ms_frame_ifindex(frame);
	event->length = scratch->packet.length;
	event->direction = scratch->direction;
	event->verdict = scratch->judged ? scratch->search.verdict : 0;
	event->outcome = scratch->outcome;
	event->reserved[0] = event->reserved[1] = event->reserved[2] = 0;
	event->reserved_too = 0;
	ms_event_endpoints(event, of_error ? &scratch->error : &scratch->packet);
	flow_events.ringbuf_submit(event, 0);
	stats->events_sent++;
}

#endif

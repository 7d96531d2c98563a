/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DEBUG build (-DMS_DEBUG): what is parsed, found, probed and decided, line by line in
 * /sys/kernel/tracing/trace_pipe. In any other build not one instruction is left of it; `test_debug` holds it to that.
 */
#ifndef MICROSEG_DEBUG_H
#define MICROSEG_DEBUG_H

#include "packet.h"

#ifdef MS_DEBUG

/* bpf_trace_printk: at most three arguments; %pI4 and %pI6 take pointers. (bcc's own macro wants no macro around.) */
static int (*ms_printk)(const char *format, __u32 size, ...) = (void *)BPF_FUNC_trace_printk;
#define ms_trace(format, ...)                                                                                          \
	({                                                                                                             \
		char text[] = "microseg: " format;                                                                     \
		ms_printk(text, sizeof(text), ##__VA_ARGS__);                                                          \
	})

ms_inline void ms_trace_endpoint4(const struct ms_packet *packet, __u32 second, __u32 port)
{
	__be32 address = second ? packet->key4.address[1] : packet->key4.address[0];

	ms_trace("end %pI4 port %u", &address, port);
}

ms_inline void ms_trace_endpoint6(const struct ms_packet *packet, __u32 second, __u32 port)
{
	struct ms_address6 address = second ? packet->key6.address[1] : packet->key6.address[0];

	ms_trace("end %pI6c port %u", &address, port);
}

/* A parsed packet: its source, then its destination. */
ms_inline void ms_trace_packet(const struct ms_packet *packet, __u32 outcome)
{
	__u32 second;

	asm volatile("" : "+r"(packet)); /* or the compiler ORs offsets to its address, which verifiers refuse */
	second = packet->reversed;
	ms_trace("packet: family %u protocol %u outcome %u", packet->family, packet->protocol, outcome);
	ms_trace("kind %u signal %x icmp %x", packet->kind, packet->signal, packet->icmp);
	if (packet->family == 4) {
		ms_trace_endpoint4(packet, second, ms_port(packet, second));
		ms_trace_endpoint4(packet, !second, ms_port(packet, !second));
	} else if (packet->family == 6) {
		ms_trace_endpoint6(packet, second, ms_port(packet, second));
		ms_trace_endpoint6(packet, !second, ms_port(packet, !second));
	}
}

#else

#define ms_trace(format, ...)
#define ms_trace_packet(packet, outcome)

#endif

#endif

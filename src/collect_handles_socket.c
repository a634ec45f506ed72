// SPDX-License-Identifier: LGPL-2.1-or-later
// What sockets are called: the kernel lists them by family through NETLINK_SOCK_DIAG, and a
// descriptor's is the one with its inode. No socket of the target is ever taken.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/netlink_diag.h>
#include <linux/packet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "collect_handles.h"

enum {
	ANSWER_SIZE = 32 * 1024, // what the kernel fills at most
	NAME_SIZE = 512,
	ATTRIBUTES = 16, // more than any family has
};

// A socket that has no name yet.
struct wanted {
	uint64_t inode;
	uint32_t record; // index of its handle record
	uint32_t peer;   // inode of the other end, for Unix sockets
};

struct socket_pass {
	const struct pss_collect *context;
	int diag_fd;
	struct pss_buf wanted; // struct wanted, by inode
	size_t missing;        // how many of them were not met
	struct pss_buf answer;
	char peer[NAME_SIZE / 2]; // what take_peer() has found
};

static struct wanted *wanted_at(const struct socket_pass *pass, size_t index)
{
	return (struct wanted *)(void *)pass->wanted.data + index;
}

static size_t count_wanted(const struct socket_pass *pass)
{
	return pass->wanted.size / sizeof(struct wanted);
}

static struct pss_handle_record *record_at(const struct socket_pass *pass, uint32_t index)
{
	const struct pss_buf *part = &pass->context->section->parts[PSS_PART_HANDLES];

	return (struct pss_handle_record *)(void *)part->data + index;
}

// qsort() may call malloc.
static void sort_wanted(struct socket_pass *pass)
{
	size_t count = count_wanted(pass);

	for (size_t gap = count / 2; gap > 0; gap /= 2) {
		for (size_t i = gap; i < count; i++) {
			struct wanted moved = *wanted_at(pass, i);
			size_t to = i;

			for (; to >= gap && wanted_at(pass, to - gap)->inode > moved.inode;
			     to -= gap)
				*wanted_at(pass, to) = *wanted_at(pass, to - gap);
			*wanted_at(pass, to) = moved;
		}
	}
}

// The first with that inode: several descriptors may lead to one socket.
static size_t find_wanted(const struct socket_pass *pass, uint64_t inode)
{
	size_t low = 0;
	size_t high = count_wanted(pass);

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (wanted_at(pass, middle)->inode < inode)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int set_name(struct socket_pass *pass, uint64_t inode, const char *name)
{
	struct pss_bytes_ref ref = { 0 };
	size_t i = find_wanted(pass, inode);
	int r = 0;

	if (i < count_wanted(pass) && wanted_at(pass, i)->inode == inode)
		r = pss_section_add_bytes(pass->context->section, name, strlen(name), &ref);
	for (; r == 0 && i < count_wanted(pass) && wanted_at(pass, i)->inode == inode; i++) {
		record_at(pass, wanted_at(pass, i)->record)->name = ref;
		pass->missing--;
	}
	return r;
}

static bool is_wanted(const struct socket_pass *pass, uint64_t inode)
{
	size_t i = find_wanted(pass, inode);

	return i < count_wanted(pass) && wanted_at(pass, i)->inode == inode;
}

// One object of an answer, checked to be as large as its family's structure.
struct answer {
	const void *body;
	const struct rtattr *attributes[ATTRIBUTES]; // NULL where there is none
};

static void find_attributes(const struct nlmsghdr *message, size_t body_size, struct answer *answer)
{
	size_t skip = NLMSG_ALIGN(body_size);
	const struct rtattr *attribute = (const void *)((const char *)NLMSG_DATA(message) + skip);
	size_t left = NLMSG_PAYLOAD(message, 0) > skip ? NLMSG_PAYLOAD(message, 0) - skip : 0;

	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
		if (attribute->rta_type < ATTRIBUTES)
			answer->attributes[attribute->rta_type] = attribute;
}

struct family {
	const char *name;
	uint8_t family;
	int protocol;
	size_t body_size;
	int (*take)(struct socket_pass *pass, const struct family *family,
		    const struct answer *answer);
};

static int ask(const struct socket_pass *pass, const void *request, size_t size, bool is_dump)
{
	struct {
		struct nlmsghdr head;
		uint8_t request[sizeof(struct inet_diag_req_v2)];
	} message = {
		.head = {
			.nlmsg_len = (uint32_t)NLMSG_LENGTH(size),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | (is_dump ? NLM_F_DUMP : 0)),
		},
	};

	memcpy(message.request, request, size);
	ssize_t sent = send(pass->diag_fd, &message, message.head.nlmsg_len, 0);
	return sent < 0 ? -errno : 0;
}

// Takes what one datagram holds. 1: there is more to come.
static int take_datagram(struct socket_pass *pass, const struct family *family, size_t left,
			 bool is_dump)
{
	const struct nlmsghdr *message = (const void *)pass->answer.data;

	for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
		struct answer answer = { .body = NLMSG_DATA(message) };
		int r = 0;

		// An error says that there is no such family here, or no such socket.
		if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR)
			return 0;
		if (message->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
		    NLMSG_PAYLOAD(message, 0) >= family->body_size) {
			find_attributes(message, family->body_size, &answer);
			r = family->take(pass, family, &answer);
		}
		if (r < 0 || !is_dump)
			return r;
	}
	return 1;
}

static int take_answers(struct socket_pass *pass, const struct family *family, bool is_dump)
{
	int r = pss_buf_reserve(&pass->answer, ANSWER_SIZE);

	while (r >= 0) {
		ssize_t size = recv(pass->diag_fd, pass->answer.data, ANSWER_SIZE, 0);
		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0)
			return 0;
		r = take_datagram(pass, family, (size_t)size, is_dump);
		if (r == 0)
			return 0;
	}
	return r;
}

static void format_address(int family, const uint32_t address[4], uint16_t port, char *text)
{
	char digits[INET6_ADDRSTRLEN] = "";

	(void)inet_ntop(family, address, digits, sizeof digits);
	(void)snprintf(text, 64, family == AF_INET6 ? "[%s]:%u" : "%s:%u", digits, ntohs(port));
}

static const char *inet_state(uint8_t state)
{
	static const char *const names[] = {
		[1] = " ESTABLISHED", [2] = " SYN_SENT",  [3] = " SYN_RECV", [4] = " FIN_WAIT1",
		[5] = " FIN_WAIT2",   [6] = " TIME_WAIT", [7] = " CLOSE",    [8] = " CLOSE_WAIT",
		[9] = " LAST_ACK",    [10] = " LISTEN",   [11] = " CLOSING", [12] = " SYN_RECV",
	};

	return state < sizeof names / sizeof names[0] && names[state] ? names[state] : "";
}

static int take_inet(struct socket_pass *pass, const struct family *family,
		     const struct answer *answer)
{
	const struct inet_diag_msg *socket = answer->body;
	char local[64], remote[64], name[NAME_SIZE];

	if (!is_wanted(pass, socket->idiag_inode))
		return 0;
	format_address(family->family, socket->id.idiag_src, socket->id.idiag_sport, local);
	format_address(family->family, socket->id.idiag_dst, socket->id.idiag_dport, remote);
	(void)snprintf(name, sizeof name, "%s %s%s%s%s", family->name, local,
		       socket->id.idiag_dport ? " -> " : "", socket->id.idiag_dport ? remote : "",
		       family->protocol == IPPROTO_TCP ? inet_state(socket->idiag_state) : "");
	return set_name(pass, socket->idiag_inode, name);
}

static int ask_inet(const struct socket_pass *pass, const struct family *family)
{
	struct inet_diag_req_v2 request = {
		.sdiag_family = family->family,
		.sdiag_protocol = (uint8_t)family->protocol,
		.idiag_states = UINT32_MAX,
	};

	return ask(pass, &request, sizeof request, true);
}

// A path, or an abstract name with @ for each NUL in it. Empty if the socket has no name.
static void format_unix_name(const struct rtattr *attribute, char *text, size_t room)
{
	size_t size = attribute ? RTA_PAYLOAD(attribute) : 0;
	const char *name = attribute ? RTA_DATA(attribute) : "";

	// A path may come with its terminator.
	if (size > 0 && name[0] != '\0')
		size = strnlen(name, size);
	if (size >= room)
		size = room - 1;
	for (size_t i = 0; i < size; i++)
		text[i] = (char)(name[i] ? name[i] : '@');
	text[size] = '\0';
}

static const char *unix_type(uint8_t type)
{
	switch (type) {
	case SOCK_STREAM:
		return "stream";
	case SOCK_SEQPACKET:
		return "seqpacket";
	default:
		return "dgram";
	}
}

static uint32_t peer_of(const struct answer *answer)
{
	const struct rtattr *attribute = answer->attributes[UNIX_DIAG_PEER];
	uint32_t peer = 0;

	if (attribute && RTA_PAYLOAD(attribute) >= sizeof peer)
		memcpy(&peer, RTA_DATA(attribute), sizeof peer);
	return peer;
}

static int take_unix(struct socket_pass *pass, const struct family *family,
		     const struct answer *answer)
{
	const struct unix_diag_msg *socket = answer->body;
	bool is_listening = socket->udiag_state == 10;
	char own[NAME_SIZE / 2], name[NAME_SIZE];

	(void)family;
	if (!is_wanted(pass, socket->udiag_ino))
		return 0;
	format_unix_name(answer->attributes[UNIX_DIAG_NAME], own, sizeof own);
	(void)snprintf(name, sizeof name, "unix %s%s%s%s", unix_type(socket->udiag_type),
		       own[0] ? " " : "", own, is_listening ? " LISTEN" : "");
	for (size_t i = find_wanted(pass, socket->udiag_ino);
	     i < count_wanted(pass) && wanted_at(pass, i)->inode == socket->udiag_ino; i++)
		wanted_at(pass, i)->peer = is_listening ? 0 : peer_of(answer);
	return set_name(pass, socket->udiag_ino, name);
}

static int ask_unix(const struct socket_pass *pass, uint32_t inode)
{
	struct unix_diag_req request = {
		.sdiag_family = AF_UNIX,
		.udiag_states = UINT32_MAX,
		.udiag_ino = inode,
		.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER,
		.udiag_cookie = { UINT32_MAX, UINT32_MAX }, // any
	};

	return ask(pass, &request, sizeof request, inode == 0);
}

static const char *netlink_protocol(uint8_t protocol)
{
	static const char *const names[] = {
		[NETLINK_ROUTE] = "route",           [NETLINK_USERSOCK] = "usersock",
		[NETLINK_FIREWALL] = "firewall",     [NETLINK_SOCK_DIAG] = "sock_diag",
		[NETLINK_NFLOG] = "nflog",           [NETLINK_XFRM] = "xfrm",
		[NETLINK_SELINUX] = "selinux",       [NETLINK_ISCSI] = "iscsi",
		[NETLINK_AUDIT] = "audit",           [NETLINK_FIB_LOOKUP] = "fib_lookup",
		[NETLINK_CONNECTOR] = "connector",   [NETLINK_NETFILTER] = "netfilter",
		[NETLINK_KOBJECT_UEVENT] = "uevent", [NETLINK_GENERIC] = "generic",
		[NETLINK_CRYPTO] = "crypto",
	};

	return protocol < sizeof names / sizeof names[0] ? names[protocol] : NULL;
}

static int take_netlink(struct socket_pass *pass, const struct family *family,
			const struct answer *answer)
{
	const struct netlink_diag_msg *socket = answer->body;
	const char *protocol = netlink_protocol(socket->ndiag_protocol);
	char number[16], name[NAME_SIZE];

	(void)family;
	(void)snprintf(number, sizeof number, "%u", socket->ndiag_protocol);
	// Its port is the pid of whoever made it, mostly; 0 before it is bound.
	(void)snprintf(name, sizeof name, "netlink %s pid %u", protocol ? protocol : number,
		       socket->ndiag_portid);
	return set_name(pass, socket->ndiag_ino, name);
}

static int ask_netlink(const struct socket_pass *pass, const struct family *family)
{
	struct netlink_diag_req request = {
		.sdiag_family = family->family,
		.sdiag_protocol = NDIAG_PROTO_ALL,
	};

	return ask(pass, &request, sizeof request, true);
}

// In the namespace of the socket that is asked with.
static void find_interface(const struct socket_pass *pass, uint32_t index, char name[IFNAMSIZ])
{
	struct ifreq request = { .ifr_ifindex = (int)index };

	if (index == 0)
		(void)snprintf(name, IFNAMSIZ, "any");
	else if (ioctl(pass->diag_fd, SIOCGIFNAME, &request) == 0)
		memcpy(name, request.ifr_name, IFNAMSIZ);
	else
		(void)snprintf(name, IFNAMSIZ, "#%u", index);
	name[IFNAMSIZ - 1] = '\0';
}

static int take_packet(struct socket_pass *pass, const struct family *family,
		       const struct answer *answer)
{
	const struct rtattr *attribute = answer->attributes[PACKET_DIAG_INFO];
	const struct packet_diag_msg *socket = answer->body;
	struct packet_diag_info info = { 0 };
	char interface[IFNAMSIZ], name[NAME_SIZE];

	(void)family;
	if (attribute && RTA_PAYLOAD(attribute) >= sizeof info)
		memcpy(&info, RTA_DATA(attribute), sizeof info);
	find_interface(pass, info.pdi_index, interface);
	(void)snprintf(name, sizeof name, "packet %s %s protocol 0x%04x", interface,
		       socket->pdiag_type == SOCK_RAW ? "raw" : "dgram", socket->pdiag_num);
	return set_name(pass, socket->pdiag_ino, name);
}

static int ask_packet(const struct socket_pass *pass, const struct family *family)
{
	struct packet_diag_req request = {
		.sdiag_family = family->family,
		.pdiag_show = PACKET_SHOW_INFO,
	};

	return ask(pass, &request, sizeof request, true);
}

#define INET(name, family, protocol)                                                               \
	{                                                                                          \
		name, family, protocol, sizeof(struct inet_diag_msg), take_inet                    \
	}

// The likeliest first: once all are named, the rest is not asked for. Asking loads the kernel's
// module for it: none is here that would bring a whole protocol with it.
static const struct family families[] = {
	{ "unix", AF_UNIX, 0, sizeof(struct unix_diag_msg), take_unix },
	INET("tcp", AF_INET, IPPROTO_TCP),
	INET("tcp6", AF_INET6, IPPROTO_TCP),
	INET("udp", AF_INET, IPPROTO_UDP),
	INET("udp6", AF_INET6, IPPROTO_UDP),
	{ "netlink", AF_NETLINK, 0, sizeof(struct netlink_diag_msg), take_netlink },
	{ "packet", AF_PACKET, 0, sizeof(struct packet_diag_msg), take_packet },
	INET("raw", AF_INET, IPPROTO_RAW),
	INET("raw6", AF_INET6, IPPROTO_RAW),
};

static int ask_family(const struct socket_pass *pass, const struct family *family)
{
	switch (family->family) {
	case AF_UNIX:
		return ask_unix(pass, 0);
	case AF_NETLINK:
		return ask_netlink(pass, family);
	case AF_PACKET:
		return ask_packet(pass, family);
	default:
		return ask_inet(pass, family);
	}
}

static int take_peer(struct socket_pass *pass, const struct family *family,
		     const struct answer *answer)
{
	(void)family;
	format_unix_name(answer->attributes[UNIX_DIAG_NAME], pass->peer, sizeof pass->peer);
	return 0;
}

// The name of the other end, or its number: whoever holds it is found by that.
static int add_peer(struct socket_pass *pass, const struct wanted *wanted)
{
	static const struct family family = {
		.family = AF_UNIX,
		.body_size = sizeof(struct unix_diag_msg),
		.take = take_peer,
	};
	struct pss_section_builder *section = pass->context->section;
	struct pss_bytes_ref own = record_at(pass, wanted->record)->name;
	char name[2 * NAME_SIZE];

	pass->peer[0] = '\0';
	int r = ask_unix(pass, wanted->peer);
	if (r == 0)
		r = take_answers(pass, &family, false);
	if (pass->peer[0] == '\0')
		(void)snprintf(pass->peer, sizeof pass->peer, "socket:[%u]", wanted->peer);
	if (r == -ENOMEM || own.size >= NAME_SIZE)
		return r;
	memcpy(name, section->parts[PSS_PART_BYTES].data + own.offset, own.size);
	(void)snprintf(name + own.size, sizeof name - own.size, " -> %s", pass->peer);
	return pss_section_add_bytes(section, name, strlen(name),
				     &record_at(pass, wanted->record)->name);
}

static int find_sockets(struct socket_pass *pass)
{
	const struct pss_buf *part = &pass->context->section->parts[PSS_PART_HANDLES];
	size_t count = part->size / sizeof(struct pss_handle_record);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < count; i++) {
		const struct pss_handle_record *record = record_at(pass, i);
		struct wanted wanted = { .inode = record->inode, .record = i };

		if (record->kind == PSS_HANDLE_KIND_SOCKET && wanted.inode > 0)
			r = pss_buf_append(&pass->wanted, &wanted, sizeof wanted);
	}
	pass->missing = count_wanted(pass);
	sort_wanted(pass);
	return r;
}

static int name_all(struct socket_pass *pass)
{
	int r = find_sockets(pass);

	for (size_t i = 0; r == 0 && pass->missing > 0 && i < sizeof families / sizeof families[0];
	     i++)
		if (ask_family(pass, &families[i]) == 0)
			r = take_answers(pass, &families[i], true);
	for (size_t i = 0; r == 0 && i < count_wanted(pass); i++)
		if (wanted_at(pass, i)->peer > 0)
			r = add_peer(pass, wanted_at(pass, i));
	return r;
}

int pss_collect_handles_name_sockets(const struct pss_collect *context, int diag_fd)
{
	struct socket_pass pass = { .context = context, .diag_fd = diag_fd };
	int r = name_all(&pass);

	pss_buf_deinit(&pass.wanted);
	pss_buf_deinit(&pass.answer);
	if (r == -ENOMEM)
		return pss_fail(context->diag, r, "cannot name the sockets of process %d",
				context->pid);
	return 0;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
// The text of /proc/PID/fdinfo/N: lines of "key: value", the first few the same for every kind of
// descriptor, the rest its own.
#include <errno.h>

#include "procfs_fds.h"
#include "procfs_text.h"

// One line of interest. @take gets what follows the key and the blanks after it.
struct field {
	const char *key;
	bool (*take)(struct pss_text *value, struct pss_procfs_fdinfo *info);
};

static bool take_position(struct pss_text *value, struct pss_procfs_fdinfo *info)
{
	int64_t position;

	// Some drivers keep what they like there.
	if (!text_take_signed(value, &position))
		return false;
	info->position = (uint64_t)position;
	return true;
}

static bool take_u32(struct pss_text *value, unsigned base, uint32_t *ret)
{
	uint64_t number;

	if (!text_take_number(value, base, &number) || number > UINT32_MAX)
		return false;
	*ret = (uint32_t)number;
	return true;
}

static bool take_flags(struct pss_text *value, struct pss_procfs_fdinfo *info)
{
	return take_u32(value, 8, &info->flags);
}

static bool take_mount(struct pss_text *value, struct pss_procfs_fdinfo *info)
{
	int32_t mount_id;

	if (!text_take_int32(value, &mount_id))
		return false;
	info->mount_id = (uint32_t)mount_id;
	return true;
}

static bool take_inode(struct pss_text *value, struct pss_procfs_fdinfo *info)
{
	info->fields |= PSS_FDINFO_INODE;
	return text_take_number(value, 10, &info->inode);
}

static bool take_count(struct pss_text *value, struct pss_procfs_fdinfo *info)
{
	info->fields |= PSS_FDINFO_COUNT;
	return text_take_number(value, 16, &info->count);
}

static bool take_semaphore(struct pss_text *value, struct pss_procfs_fdinfo *info)
{
	uint64_t number;

	if (!text_take_number(value, 10, &number))
		return false;
	info->is_semaphore = number != 0;
	return true;
}

static bool take_pid(struct pss_text *value, struct pss_procfs_fdinfo *info)
{
	info->fields |= PSS_FDINFO_PID;
	return text_take_int32(value, &info->pid);
}

static bool take_clock(struct pss_text *value, struct pss_procfs_fdinfo *info)
{
	info->fields |= PSS_FDINFO_CLOCK;
	return text_take_int32(value, &info->clock);
}

static bool take_bpf_id(struct pss_text *value, struct pss_procfs_fdinfo *info)
{
	info->fields |= PSS_FDINFO_BPF;
	return text_take_number(value, 10, &info->bpf_id);
}

static const struct field fields[] = {
	{ "pos:", take_position },   { "flags:", take_flags },
	{ "mnt_id:", take_mount },   { "ino:", take_inode },
	{ "Pid:", take_pid },        { "eventfd-count:", take_count },
	{ "clockid:", take_clock },  { "eventfd-semaphore:", take_semaphore },
	{ "map_id:", take_bpf_id },  { "prog_id:", take_bpf_id },
	{ "link_id:", take_bpf_id }, { "btf_id:", take_bpf_id },
};

// A link names its program, too: the object's own number comes first.
static bool is_second_bpf_id(const struct field *field, const struct pss_procfs_fdinfo *info)
{
	return field->take == take_bpf_id && (info->fields & PSS_FDINFO_BPF);
}

static bool take_line(struct pss_text line, struct pss_procfs_fdinfo *info, bool *has_flags)
{
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		struct pss_text value = line;

		if (!text_take_prefix(&value, fields[i].key))
			continue;
		if (is_second_bpf_id(&fields[i], info))
			return true;
		text_skip_blanks(&value);
		*has_flags |= fields[i].take == take_flags;
		return fields[i].take(&value, info) && value.size == 0;
	}
	return true;
}

int pss_procfs_parse_fdinfo(const char *text, size_t size, struct pss_procfs_fdinfo *ret)
{
	struct pss_text rest = { text, size };
	struct pss_procfs_fdinfo info = { 0 };
	bool has_flags = false;
	struct pss_text line;

	// Epolls and io_urings list thousands of members; what is common comes first.
	while (text_take_line(&rest, &line))
		if (!take_line(line, &info, &has_flags))
			return -EBADMSG;
	if (!has_flags)
		return -EBADMSG;
	*ret = info;
	return 0;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
// Signals that ask the command to stop. Undoing is left to those who have done something.
#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

// A signal handler knows nothing but globals.
static volatile sig_atomic_t pending_signal;
static volatile sig_atomic_t guarded_fd = -EBADF;
static volatile sig_atomic_t null_fd = -EBADF;

static void remember(int signal_number)
{
	int saved = errno;

	pending_signal = signal_number;
	if (null_fd >= 0)
		(void)dup3(null_fd, guarded_fd, O_CLOEXEC);
	errno = saved;
}

void pss_interrupt_catch(int fd)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	// SA_RESETHAND: the second one is not caught. No SA_RESTART: a write is to return.
	struct sigaction action = {
		.sa_handler = remember,
		.sa_flags = (int)SA_RESETHAND,
	};
	struct sigaction old;

	guarded_fd = fd;
	null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			(void)sigaction(signals[i], &action, NULL);
	}
}

int pss_interrupt_pending(void)
{
	return pending_signal;
}

const char *pss_interrupt_name(void)
{
	const char *name = sigabbrev_np(pending_signal);

	return name ? name : "?";
}

void pss_interrupt_finish(void)
{
	if (pending_signal == 0)
		return;
	(void)signal(pending_signal, SIG_DFL);
	(void)raise(pending_signal);
}

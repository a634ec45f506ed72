// SPDX-License-Identifier: LGPL-2.1-or-later
// A ring of pieces between two threads; see memory_ahead.h. All of it is one mapping.
#include "memory_ahead.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "base/checked.h"

enum { PIECES_MAX = 8, STACK_SIZE = 256 * 1024 };

struct pss_memory_ahead {
	size_t mapping_size;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under the lock. Pieces are counted, and in the ring by the rest. */
	uint64_t taken;
	uint64_t read;
	bool is_reading; // there is more to come
	bool is_over;

	void (*read_next)(void *context, struct pss_memory_piece *piece);
	void *context;
	size_t count;
	struct pss_memory_piece pieces[PIECES_MAX];
};

// Told with the lock free: else who is woken only runs into it, and sleeps again.
static void unlock_and_tell(struct pss_memory_ahead *ahead)
{
	(void)pthread_mutex_unlock(&ahead->lock);
	(void)pthread_cond_signal(&ahead->changed);
}

static bool is_last(const struct pss_memory_piece *piece)
{
	return piece->result < 0 && piece->result != -EFAULT;
}

// The next piece to be read, when there is one to read and a buffer for it. NULL when it is over.
static struct pss_memory_piece *wait_for_work(struct pss_memory_ahead *ahead)
{
	while (!ahead->is_over && !(ahead->is_reading && ahead->read - ahead->taken < ahead->count))
		(void)pthread_cond_wait(&ahead->changed, &ahead->lock);
	return ahead->is_over ? NULL : &ahead->pieces[ahead->read % ahead->count];
}

static void *read_ahead(void *argument)
{
	struct pss_memory_ahead *ahead = argument;
	struct pss_memory_piece *piece;

	(void)pthread_mutex_lock(&ahead->lock);
	while ((piece = wait_for_work(ahead))) {
		(void)pthread_mutex_unlock(&ahead->lock);
		ahead->read_next(ahead->context, piece);
		(void)pthread_mutex_lock(&ahead->lock);
		ahead->is_reading = !is_last(piece);
		ahead->read++;
		unlock_and_tell(ahead);
		(void)pthread_mutex_lock(&ahead->lock);
	}
	(void)pthread_mutex_unlock(&ahead->lock);
	return NULL;
}

// All signals are for the host's threads.
static int start_thread(struct pss_memory_ahead *ahead)
{
	pthread_attr_t attributes;
	sigset_t all, before;

	if (pthread_attr_init(&attributes) != 0)
		return -ENOMEM;
	(void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&ahead->thread, &attributes, read_ahead, ahead);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
	return -error;
}

static void discard(struct pss_memory_ahead *ahead)
{
	(void)pthread_cond_destroy(&ahead->changed);
	(void)pthread_mutex_destroy(&ahead->lock);
	(void)munmap(ahead, ahead->mapping_size);
}

struct pss_memory_ahead *pss_memory_ahead_start(size_t count, size_t size)
{
	assert(count <= PIECES_MAX);
	size_t own = pss_align_up(sizeof(struct pss_memory_ahead), 4096);
	size_t mapping_size = own + count * size;
	struct pss_memory_ahead *ahead = mmap(NULL, mapping_size, PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ahead == MAP_FAILED)
		return NULL;
	ahead->mapping_size = mapping_size;
	ahead->count = count;
	for (size_t i = 0; i < count; i++)
		ahead->pieces[i].bytes = (uint8_t *)ahead + own + i * size;
	(void)pthread_mutex_init(&ahead->lock, NULL);
	(void)pthread_cond_init(&ahead->changed, NULL);
	if (start_thread(ahead) == 0)
		return ahead;
	discard(ahead);
	return NULL;
}

void pss_memory_ahead_begin(struct pss_memory_ahead *ahead,
			    void (*read)(void *context, struct pss_memory_piece *piece),
			    void *context)
{
	(void)pthread_mutex_lock(&ahead->lock);
	ahead->read_next = read;
	ahead->context = context;
	ahead->is_reading = true;
	unlock_and_tell(ahead);
}

struct pss_memory_piece *pss_memory_ahead_take(struct pss_memory_ahead *ahead)
{
	(void)pthread_mutex_lock(&ahead->lock);
	while (ahead->read == ahead->taken)
		(void)pthread_cond_wait(&ahead->changed, &ahead->lock);
	struct pss_memory_piece *piece = &ahead->pieces[ahead->taken % ahead->count];
	(void)pthread_mutex_unlock(&ahead->lock);
	return piece;
}

void pss_memory_ahead_give_back(struct pss_memory_ahead *ahead)
{
	(void)pthread_mutex_lock(&ahead->lock);
	ahead->taken++;
	unlock_and_tell(ahead);
}

void pss_memory_ahead_end(struct pss_memory_ahead *ahead)
{
	if (!ahead)
		return;
	(void)pthread_mutex_lock(&ahead->lock);
	ahead->is_over = true;
	unlock_and_tell(ahead);
	(void)pthread_join(ahead->thread, NULL);
	discard(ahead);
}

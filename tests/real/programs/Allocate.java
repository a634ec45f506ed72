// SPDX-License-Identifier: LGPL-2.1-or-later
// Threads that allocate lists and check what they hold. Answers each line with "ok ROUNDS", or
// with what went wrong; ends at the end of its input.

import java.util.Arrays;
import java.util.Scanner;
import java.util.concurrent.atomic.AtomicLong;

class Allocate {
    static final int THREADS = 4;
    static final int LENGTH = 2_000;
    static final int WORDS = 128;
    static final AtomicLong rounds = new AtomicLong();
    static volatile String error;

    static class Node {
        final Node next;
        final int[] values = new int[WORDS];

        Node(Node next, int value) {
            this.next = next;
            Arrays.fill(values, value);
        }
    }

    static Node list(int start) {
        Node head = null;
        for (int i = 0; i < LENGTH; i++) {
            head = new Node(head, start + i);
        }
        return head;
    }

    static void check(Node head, int start) {
        int expected = start + LENGTH;
        for (Node node = head; node != null; node = node.next) {
            expected--;
            for (int value : node.values) {
                if (value != expected) {
                    error = "a node holds " + value + ", not " + expected;
                }
            }
        }
        if (expected != start) {
            error = "a list is " + (expected - start) + " nodes short";
        }
    }

    static void work(int number) {
        Node kept = list(number);
        for (int round = 0; error == null; round++) {
            check(kept, number);
            check(list(round), round);
            rounds.incrementAndGet();
        }
    }

    public static void main(String[] arguments) {
        for (int i = 0; i < THREADS; i++) {
            int number = i;
            Thread thread = new Thread(() -> work(number), "allocator-" + i);
            thread.setDaemon(true);
            thread.start();
        }
        Scanner in = new Scanner(System.in);
        while (in.hasNextLine()) {
            in.nextLine();
            System.out.println(error == null ? "ok " + rounds.get() : error);
        }
    }
}

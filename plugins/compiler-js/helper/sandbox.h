/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox.h - takes from the helper what it will not need any more: files, network, other processes. Called once by main.c,
 * after the engine has started and before the first script.
 */
#ifndef FL_SANDBOX_H
#define FL_SANDBOX_H

/* Forbids the calling thread every access to the file system and to TCP ports. Returns 0 or an errno: the kernel has no
 * Landlock, or a container forbids it. */
int fl_sandbox_landlock(void);

/* Allows all threads only the system calls that a running engine makes. `jit`: also to make memory executable. Returns 0 or
 * an errno. */
int fl_sandbox_seccomp(int jit);

#endif

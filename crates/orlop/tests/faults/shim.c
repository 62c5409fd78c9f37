/* Stands between a program and the C library (LD_PRELOAD) and lets the n-th write, fsync or rename
 * below one folder fail. What happens is noted in a log, in the order in which it happens.
 *
 *   FAULT_DIR    only files below this folder count
 *   FAULT_NOT    but none whose path has this in it
 *   FAULT_OP     write, fsync or rename
 *   FAULT_N      which one, counted from 1 in this process; 0: none
 *   FAULT_ERRNO  EIO: that one fails. ENOSPC: that one does half of its work, and all later ones fail
 *   FAULT_LOG    lines `fired OP PATH`; `synced PATH` and `renamed PATH` of what was done to file systems and names
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum verdict { GO, HALF, FAIL };
static long count;

static int below(const char *path) {
    const char *dir = getenv("FAULT_DIR"), *not = getenv("FAULT_NOT");
    char here[PATH_MAX + 1];
    if (!dir || !path) return 0;
    /* A relative path lies where the program is. */
    if (path[0] != '/') {
        long length = syscall(SYS_getcwd, here, PATH_MAX);
        if (length <= 0) return 0;
        path = here;
    }
    return strncmp(path, dir, strlen(dir)) == 0 && !(not && *not && strstr(path, not));
}

static void note(const char *what, const char *path) {
    const char *log = getenv("FAULT_LOG");
    int fd = log ? (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0) return;
    char line[PATH_MAX + 32];
    int length = snprintf(line, sizeof line, "%s %s\n", what, path);
    if (length > 0) syscall(SYS_write, fd, line, (size_t)length);
    syscall(SYS_close, fd);
}

static int name_of(int fd, char *path) {
    char link[64];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX);
    errno = saved;
    path[length > 0 ? length : 0] = 0;
    return length > 0;
}

static enum verdict judge(const char *op, const char *path, int *error) {
    const char *wanted = getenv("FAULT_OP"), *nth = getenv("FAULT_N"), *kind = getenv("FAULT_ERRNO");
    if (!wanted || !nth || !kind || strcmp(op, wanted) != 0 || !below(path)) return GO;
    long n = atol(nth), now = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    int full = strcmp(kind, "ENOSPC") == 0;
    if (n == 0 || now < n || (now > n && !full)) return GO;
    char what[32];
    snprintf(what, sizeof what, "fired %s", op);
    note(what, path);
    *error = full ? ENOSPC : EIO;
    return full && now == n ? HALF : FAIL;
}

static enum verdict judge_fd(const char *op, int fd, int *error) {
    char path[PATH_MAX + 1];
    return name_of(fd, path) ? judge(op, path, error) : GO;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAILED(error) (errno = (error), -1)

ssize_t write(int fd, const void *buffer, size_t length) {
    int error = 0;
    enum verdict verdict = judge_fd("write", fd, &error);
    if (verdict == FAIL || (verdict == HALF && length < 2)) return FAILED(error);
    return NEXT(write)(fd, buffer, verdict == HALF ? length / 2 : length);
}

ssize_t pwrite64(int fd, const void *buffer, size_t length, off64_t at) {
    int error = 0;
    enum verdict verdict = judge_fd("write", fd, &error);
    if (verdict == FAIL || (verdict == HALF && length < 2)) return FAILED(error);
    return NEXT(pwrite64)(fd, buffer, verdict == HALF ? length / 2 : length, at);
}

ssize_t pwrite(int fd, const void *buffer, size_t length, off_t at) {
    return pwrite64(fd, buffer, length, at);
}

ssize_t writev(int fd, const struct iovec *parts, int many) {
    int error = 0;
    if (judge_fd("write", fd, &error) != GO) return FAILED(error);
    return NEXT(writev)(fd, parts, many);
}

int ftruncate64(int fd, off64_t length) {
    int error = 0;
    if (judge_fd("write", fd, &error) != GO) return FAILED(error);
    return NEXT(ftruncate64)(fd, length);
}

int ftruncate(int fd, off_t length) {
    return ftruncate64(fd, length);
}

int fsync(int fd) {
    int error = 0;
    if (judge_fd("fsync", fd, &error) != GO) return FAILED(error);
    return NEXT(fsync)(fd);
}

int fdatasync(int fd) {
    int error = 0;
    if (judge_fd("fsync", fd, &error) != GO) return FAILED(error);
    return NEXT(fdatasync)(fd);
}

int syncfs(int fd) {
    int error = 0;
    char path[PATH_MAX + 1];
    if (judge_fd("fsync", fd, &error) != GO) return FAILED(error);
    int result = NEXT(syncfs)(fd);
    if (result == 0 && name_of(fd, path) && below(path)) note("synced", path);
    return result;
}

int rename(const char *from, const char *to) {
    int error = 0;
    if (judge("rename", to, &error) != GO) return FAILED(error);
    int result = NEXT(rename)(from, to);
    if (result == 0 && below(to)) note("renamed", to);
    return result;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    int error = 0;
    if (judge("rename", to, &error) != GO) return FAILED(error);
    return NEXT(renameat)(from_dir, from, to_dir, to);
}

int link(const char *from, const char *to) {
    int error = 0;
    if (judge("rename", to, &error) != GO) return FAILED(error);
    return NEXT(link)(from, to);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    int error = 0;
    if (judge("rename", to, &error) != GO) return FAILED(error);
    return NEXT(linkat)(from_dir, from, to_dir, to, flags);
}

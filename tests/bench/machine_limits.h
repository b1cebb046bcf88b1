// The limits of this machine, without our code in the way. Each function forks or allocates on its own and cleans up.
// Call them before a benchmark starts threads.
#pragma once

#include <utility>

#include "base/unique_fd.h"

namespace raylet::bench {

// A get and release in a table in shared memory: probe, pin with a full fence, look again, release. Nanoseconds.
double IndexGetReleaseNs();
// Two processes that hand a word to and fro. Microseconds for both ways; parked on futexes, spinning, over a Unix
// socket.
double FutexRoundTripUs();
double SpinRoundTripUs();
double UnixSocketRoundTripUs();
// The same over one TCP connection through loopback, of 64 bytes.
double TcpRoundTripUs();
// A ring of 64-byte requests and one of replies between two processes, pipelined. Calls per second.
double PipelinedRingCallsPerSecond();
// Messages of 256 bytes there and back over one TCP connection, 256 of them in each write. Calls per second.
double PipelinedTcpCallsPerSecond();
// One process that sends 4 GiB from 1 GiB of its memory to another, which looks at none of it. GB/s.
double TcpStreamGBs();

// The two ends of a TCP connection over loopback; they block.
std::pair<UniqueFd, UniqueFd> TcpPair();

}  // namespace raylet::bench

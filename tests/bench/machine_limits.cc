#include "tests/bench/machine_limits.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <new>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/unique_fd.h"
#include "base/waiter.h"
#include "tests/bench/figures.h"

namespace raylet::bench {

namespace {

// Zeroed memory that a child of fork() shares.
class Shared {
 public:
  explicit Shared(size_t bytes)
      : bytes_(bytes),
        memory_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)) {
    RAYLET_CHECK(memory_ != MAP_FAILED, "no ", bytes, " bytes of shared memory for a benchmark");
  }
  ~Shared() { ::munmap(memory_, bytes_); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  template <class T>
  T* As() const {
    return static_cast<T*>(memory_);
  }

 private:
  size_t bytes_;
  void* memory_;
};

class Child {
 public:
  explicit Child(const std::function<void()>& body) : pid_(::fork()) {
    RAYLET_CHECK(pid_ >= 0, "cannot fork for a benchmark");
    if (pid_ == 0) {
      body();
      ::_exit(0);
    }
  }
  ~Child() { ::waitpid(pid_, nullptr, 0); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

 private:
  pid_t pid_;
};

uint64_t Mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  return x;
}

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

struct TwoWords {
  alignas(128) std::atomic<uint32_t> there;
  alignas(128) std::atomic<uint32_t> back;
};

double RoundTripUs(uint32_t rounds, bool park) {
  const Shared shared(sizeof(TwoWords));
  auto* words = shared.As<TwoWords>();
  const auto await = [park](std::atomic<uint32_t>& word, uint32_t wanted) {
    for (int i = 0;;) {
      const uint32_t now = word.load(std::memory_order_acquire);
      if (now == wanted) return;
      if (park)
        FutexWait(&word, now, std::chrono::seconds(1));
      else if (++i % 1024 == 0)
        ::sched_yield();
    }
  };
  const auto post = [park](std::atomic<uint32_t>& word, uint32_t value) {
    word.store(value, std::memory_order_release);
    if (park) FutexWakeAll(&word);
  };
  const Child child([&] {
    for (uint32_t i = 1; i <= rounds; ++i) {
      await(words->there, i);
      post(words->back, i);
    }
  });
  std::vector<double> samples;
  for (uint32_t i = 1; i <= rounds; ++i) {
    const double start = NowSeconds();
    post(words->there, i);
    await(words->back, i);
    samples.push_back(NowSeconds() - start);
  }
  return Percentile(samples, 50) * 1e6;
}

double SocketRoundTripUs(UniqueFd ours, UniqueFd theirs) {
  constexpr int kRounds = 20'000;
  const Child child([&] {
    char buffer[64];
    for (int i = 0; i < kRounds; ++i) {
      if (::read(theirs.get(), buffer, sizeof buffer) <= 0 || ::write(theirs.get(), buffer, sizeof buffer) <= 0) return;
    }
  });
  std::vector<double> samples;
  char buffer[64] = {};
  for (int i = 0; i < kRounds; ++i) {
    const double start = NowSeconds();
    RAYLET_CHECK(::write(ours.get(), buffer, sizeof buffer) > 0 && ::read(ours.get(), buffer, sizeof buffer) > 0,
                 "a socket broke in a benchmark");
    samples.push_back(NowSeconds() - start);
  }
  return Percentile(samples, 50) * 1e6;
}

void SendAtOnce(const UniqueFd& connection) {
  const int on = 1;
  RAYLET_CHECK(::setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "no TCP_NODELAY");
}

bool SendAll(const UniqueFd& to, const std::vector<char>& data) {
  return ::send(to.get(), data.data(), data.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(data.size());
}
bool ReceiveAll(const UniqueFd& from, std::vector<char>& data) {
  return ::recv(from.get(), data.data(), data.size(), MSG_WAITALL) == static_cast<ssize_t>(data.size());
}

}  // namespace

double IndexGetReleaseNs() {
  struct Entry {
    std::atomic<uint64_t> word;
    uint64_t id, offset, size, unused[4];
  };
  constexpr size_t kEntries = 1 << 16, kObjects = 1000, kGets = 2'000'000;
  const Shared table(sizeof(Entry) * kEntries), page(4096);
  auto* entries = table.As<Entry>();
  auto* slots = page.As<std::atomic<uint32_t>>();
  std::vector<uint64_t> ids;
  for (uint64_t i = 0; i < kObjects; ++i) {
    const uint64_t id = Mix(i + 1);
    size_t at = id % kEntries;
    while (entries[at].id != 0) at = (at + 1) % kEntries;
    entries[at].id = id;
    entries[at].offset = i;
    entries[at].word.store(3, std::memory_order_relaxed);
    ids.push_back(id);
  }
  uint64_t sum = 0;
  const double start = NowSeconds();
  for (size_t i = 0; i < kGets; ++i) {
    const uint64_t id = ids[i % kObjects];
    for (size_t at = id % kEntries;; at = (at + 1) % kEntries) {
      Entry& entry = entries[at];
      const uint64_t word = entry.word.load(std::memory_order_acquire);
      if (entry.id != id) continue;
      slots[0].exchange(static_cast<uint32_t>(at) + 1, std::memory_order_seq_cst);
      if (entry.word.load(std::memory_order_seq_cst) != word) continue;
      sum += entry.offset;
      slots[0].store(0, std::memory_order_release);
      break;
    }
  }
  const double ns = (NowSeconds() - start) / static_cast<double>(kGets) * 1e9;
  RAYLET_CHECK(sum == kGets / kObjects * (kObjects * (kObjects - 1) / 2), "the index probe found the wrong objects");
  return ns;
}

double FutexRoundTripUs() { return RoundTripUs(20'000, true); }
double SpinRoundTripUs() { return RoundTripUs(200'000, false); }

double UnixSocketRoundTripUs() {
  int pair[2] = {};
  RAYLET_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "no socket pair for a benchmark");
  return SocketRoundTripUs(UniqueFd(pair[0]), UniqueFd(pair[1]));
}

double TcpRoundTripUs() {
  auto [ours, theirs] = TcpPair();
  SendAtOnce(ours);
  SendAtOnce(theirs);
  return SocketRoundTripUs(std::move(ours), std::move(theirs));
}

double PipelinedRingCallsPerSecond() {
  constexpr uint64_t kSlots = 4096, kCalls = 5'000'000;
  struct Lane {
    alignas(128) std::atomic<uint64_t> tail;
    alignas(128) std::atomic<uint64_t> head;
    alignas(128) char records[kSlots][64];
  };
  const Shared shared(sizeof(Lane) * 2);
  auto* lanes = shared.As<Lane>();
  const auto relax = [](int& turns) {
    Pause();
    if (++turns % 256 == 0) ::sched_yield();
  };
  const Child child([&] {
    char record[64];
    int turns = 0;
    for (uint64_t i = 0; i < kCalls; ++i) {
      while (lanes[0].tail.load(std::memory_order_acquire) == i) relax(turns);
      std::memcpy(record, lanes[0].records[i % kSlots], sizeof record);
      lanes[0].head.store(i + 1, std::memory_order_release);
      while (i - lanes[1].head.load(std::memory_order_acquire) >= kSlots) relax(turns);
      std::memcpy(lanes[1].records[i % kSlots], record, sizeof record);
      lanes[1].tail.store(i + 1, std::memory_order_release);
    }
  });
  char record[64] = {};
  int turns = 0;
  uint64_t sent = 0, got = 0;
  const double start = NowSeconds();
  while (got < kCalls) {
    for (int burst = 0; burst < 256 && sent < kCalls && sent - got < kSlots - 1; ++burst, ++sent) {
      std::memcpy(lanes[0].records[sent % kSlots], record, sizeof record);
      lanes[0].tail.store(sent + 1, std::memory_order_release);
    }
    const uint64_t ready = lanes[1].tail.load(std::memory_order_acquire);
    if (ready == got) relax(turns);
    got = ready;
    lanes[1].head.store(got, std::memory_order_release);
  }
  return static_cast<double>(kCalls) / (NowSeconds() - start);
}

std::pair<UniqueFd, UniqueFd> TcpPair() {
  const UniqueFd listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const at = reinterpret_cast<sockaddr*>(&address);
  RAYLET_CHECK(::bind(listening.get(), at, size) == 0 && ::listen(listening.get(), 1) == 0 &&
                   ::getsockname(listening.get(), at, &size) == 0,
               "no TCP port for a benchmark");
  UniqueFd dialled(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  RAYLET_CHECK(::connect(dialled.get(), at, size) == 0, "no TCP connection for a benchmark");
  UniqueFd accepted(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  RAYLET_CHECK(static_cast<bool>(accepted), "no TCP connection for a benchmark");
  return {std::move(accepted), std::move(dialled)};
}

double PipelinedTcpCallsPerSecond() {
  constexpr size_t kMessageBytes = 256, kBatch = 256;
  constexpr int kBatches = 10'000, kAhead = 2;
  auto [ours, theirs] = TcpPair();
  std::vector<char> batch(kMessageBytes * kBatch);
  const Child child([&, &theirs = theirs] {
    for (int i = 0; i < kBatches; ++i)
      if (!ReceiveAll(theirs, batch) || !SendAll(theirs, batch)) return;
  });
  const double start = NowSeconds();
  for (int sent = 0, got = 0; got < kBatches; ++got) {
    for (; sent < kBatches && sent - got < kAhead; ++sent)
      RAYLET_CHECK(SendAll(ours, batch), "a TCP connection broke in a benchmark");
    RAYLET_CHECK(ReceiveAll(ours, batch), "a TCP connection broke in a benchmark");
  }
  return kBatches * kBatch / (NowSeconds() - start);
}

double TcpStreamGBs() {
  constexpr size_t kBytes = size_t{1} << 30, kPieceBytes = size_t{256} << 10;
  constexpr int kRounds = 4;
  auto [sends, receives] = TcpPair();
  double rate = 0;
  {
    const Child child([&, &from = sends] {
      std::vector<char> data(kBytes, 1);
      for (int round = 0; round < kRounds; ++round) {
        for (size_t sent = 0; sent < kBytes;) {
          const ssize_t put =
              ::send(from.get(), data.data() + sent, std::min(kPieceBytes, kBytes - sent), MSG_NOSIGNAL);
          if (put <= 0) return;
          sent += static_cast<size_t>(put);
        }
      }
    });
    sends.Reset();
    std::vector<char> piece(kPieceBytes);
    double start = 0;
    for (size_t received = 0; received < kRounds * kBytes;) {
      const ssize_t got = ::recv(receives.get(), piece.data(), piece.size(), 0);
      RAYLET_CHECK(got > 0, "a TCP connection broke in a benchmark");
      if (received == 0) start = NowSeconds();  // the sender has filled its memory
      received += static_cast<size_t>(got);
    }
    rate = static_cast<double>(kRounds * kBytes) / (NowSeconds() - start) / 1e9;
  }
  return rate;
}

}  // namespace raylet::bench

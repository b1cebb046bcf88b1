// transfer_bench: objects from one store to another over TCP on loopback, each with its sender or receiver in a process
// of its own, beside one raw TCP stream. Starts two plasma_stores of its own.
//   transfer_bench [--json]
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/loop_thread.h"
#include "client/plasma/store_client.h"
#include "raylet/objects/receiver.h"
#include "raylet/objects/sender.h"
#include "tests/bench/bench_flags.h"
#include "tests/bench/figures.h"
#include "tests/bench/machine_limits.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::bench {
namespace {

using client::StoreClient;

constexpr size_t kLargeBytes = size_t{1} << 30;
constexpr size_t kSmallBytes = 1024;
constexpr uint64_t kSmallObjects = 10'000;
constexpr size_t kPullsAtATime = 64;  // as PullLimits says
constexpr int kRounds = 7;

ObjectId Large() {
  ObjectId id;
  id.mutable_data()[0] = 1;
  return id;
}
ObjectId Small(uint64_t number) {
  ObjectId id;
  id.mutable_data()[0] = 2;
  std::memcpy(id.mutable_data() + 8, &number, sizeof number);
  return id;
}

std::shared_ptr<StoreClient> Connect(const std::string& socket, const char* name) {
  auto store = StoreClient::Connect(socket, name, Deadline::AfterMs(10'000), true);
  RAYLET_CHECK(store.has_value(), store.error().message);
  return *store;
}

// The machine that has the objects, until `until` closes.
[[noreturn]] void Serve(const std::string& socket, std::vector<UniqueFd> connections, int ready, int until) {
  {
    const auto store = Connect(socket, "sender");
    std::vector<std::byte> data(kLargeBytes);
    for (size_t i = 0; i < data.size(); i += 8) std::memcpy(data.data() + i, &i, 8);
    RAYLET_CHECK(store->CreateAndSeal(Large(), data, {}, {}).has_value(), "put failed");
    data.resize(kSmallBytes);
    for (uint64_t i = 0; i < kSmallObjects; ++i)
      RAYLET_CHECK(store->CreateAndSeal(Small(i), data, {}, {}).has_value(), "put failed");
    LoopThread thread;
    std::optional<ObjectSender> sender;
    thread.Run([&] {
      sender.emplace(thread.loop(), store);
      for (UniqueFd& connection : connections) sender->Serve(NodeId(), std::move(connection));
    });
    char byte = 0;
    RAYLET_CHECK(::write(ready, &byte, 1) == 1, "the bench has gone");
    while (::read(until, &byte, 1) > 0) {}
    thread.Run([&] { sender.reset(); });
  }
  ::_exit(0);
}

// The machine that wants the objects: it pulls kPullsAtATime at a time.
class Puller final : public ObjectReceiver::Handler {
 public:
  Puller(std::shared_ptr<StoreClient> store, UniqueFd connection) : node_(NodeId::FromRandom()) {
    thread_.Run([&] {
      receiver_.emplace(thread_.loop(), std::move(store), *this);
      receiver_->Connect(node_, std::move(connection));
    });
  }
  ~Puller() override {
    thread_.Run([&] { receiver_.reset(); });
  }

  // Seconds until all are here.
  double Pull(const std::vector<ObjectId>& objects) {
    const double start = NowSeconds();
    thread_.Run([&] {
      objects_ = &objects;
      asked_ = arrived_ = 0;
      while (asked_ < std::min(objects.size(), kPullsAtATime)) PullNext();
    });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done_; });
    done_ = false;
    return NowSeconds() - start;
  }
  uint64_t system_calls() const { return receiver_->counters().system_calls.value(); }

 private:
  void PullNext() { receiver_->Pull(++last_pull_, (*objects_)[asked_++], node_, PullPriority::kGet); }
  void OnPullSized(PullNumber, const ObjectId&, uint64_t) override {}
  void OnPullSealed(PullNumber, const ObjectId&, client::PinnedObject) override {
    if (asked_ < objects_->size()) PullNext();
    if (++arrived_ < objects_->size()) return;
    const std::lock_guard lock(mutex_);
    done_ = true;
    changed_.notify_all();
  }
  void OnPullEnded(PullNumber, const ObjectId&, const Error& why, uint64_t) override {
    RAYLET_CHECK(false, why.message);
  }
  void OnConnectionGone(const NodeId&, const Error& why) override { RAYLET_CHECK(false, why.message); }

  const NodeId node_;
  const std::vector<ObjectId>* objects_ = nullptr;  // with what follows: on the thread
  size_t asked_ = 0, arrived_ = 0;
  PullNumber last_pull_ = 0;
  std::optional<ObjectReceiver> receiver_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;  // under mutex_
  LoopThread thread_;
};

long PageFaults() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

int Run(bool json) {
  const double tcp_gbs = TcpStreamGBs();
  const test::RunFolder folder;
  const std::string from = folder.File("from.sock"), to = folder.File("to.sock");
  std::vector<test::DaemonProcess> daemons;
  for (const std::string& socket : {from, to}) {
    auto daemon = test::DaemonProcess::Start("plasma_store", {"-m", "1200M", "-s", socket});
    if (!daemon) {
      std::fprintf(stderr, "transfer_bench: %s\n", daemon.error().message.c_str());
      return 1;
    }
    daemons.push_back(*std::move(daemon));
  }
  std::vector<UniqueFd> sends, receives;
  for (int i = 0; i < 2; ++i) {
    auto [near, far] = TcpPair();
    sends.push_back(std::move(near));
    receives.push_back(std::move(far));
  }
  int ready[2], until[2];
  RAYLET_CHECK(::pipe(ready) == 0 && ::pipe(until) == 0, "no pipe for a benchmark");
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(until[1]);
    receives.clear();
    Serve(from, std::move(sends), ready[1], until[0]);
  }
  sends.clear();
  char byte = 0;
  RAYLET_CHECK(::read(ready[0], &byte, 1) == 1, "the sender died");

  const std::vector<ObjectId> large{Large()};
  std::vector<ObjectId> small;
  for (uint64_t i = 0; i < kSmallObjects; ++i) small.push_back(Small(i));
  std::vector<double> unused_rates, new_rates, rates, small_seconds;
  long faults[3] = {};
  uint64_t calls = 0, small_calls = 0;
  for (UniqueFd& connection : receives) {
    const auto store = Connect(to, "receiver");
    Puller puller(store, std::move(connection));
    const bool unused = unused_rates.empty();
    for (int round = 0; round < (unused ? 1 : kRounds); ++round) {
      const long faults_before = PageFaults();
      const uint64_t calls_before = puller.system_calls();
      const double rate = static_cast<double>(kLargeBytes) / puller.Pull(large) / 1e9;
      (unused ? unused_rates : round == 0 ? new_rates : rates).push_back(rate);
      faults[unused ? 0 : round == 0 ? 1 : 2] = PageFaults() - faults_before;
      calls = puller.system_calls() - calls_before;
      RAYLET_CHECK(store->Delete(large).has_value(), "delete failed");
    }
    for (int round = 0; round < (unused ? 0 : kRounds); ++round) {
      const uint64_t calls_before = puller.system_calls();
      small_seconds.push_back(puller.Pull(small));
      small_calls = puller.system_calls() - calls_before;
      RAYLET_CHECK(store->Delete(small).has_value(), "delete failed");
    }
  }
  ::close(until[1]);
  ::waitpid(child, nullptr, 0);

  std::vector<Figure> figures;
  const auto rate_figure = [&](const char* name, const std::vector<double>& samples) {
    Figure figure;
    figure.name = name;
    figure.p50 = Percentile(samples, 50);
    figure.p99 = Percentile(samples, 1);  // the slow tail
    figure.unit = "GB/s";
    figure.limit_name = "one TCP stream";
    figure.limit = tcp_gbs;
    figures.push_back(figure);
  };
  rate_figure("pull 1 GiB into pages used before", rates);
  rate_figure("pull 1 GiB, new to the puller", new_rates);
  rate_figure("pull 1 GiB, never used before", unused_rates);
  figures.push_back(TimeFigure("pull 10,000 objects of 1 KiB", small_seconds, 1, "s", "promised", 2));
  if (json) {
    std::fputs(FiguresJson(figures).c_str(), stdout);
    return 0;
  }
  std::fputs(FiguresTable(figures).c_str(), stdout);
  std::printf(
      "the puller's reads: %llu for 1 GiB, %llu for the 10,000; its page faults for 1 GiB: %ld, new to it %ld, never "
      "used %ld\n",
      static_cast<unsigned long long>(calls), static_cast<unsigned long long>(small_calls), faults[2], faults[1],
      faults[0]);
  return 0;
}

}  // namespace
}  // namespace raylet::bench

int main(int argc, char** argv) {
  int exit_code = 0;
  const auto flags =
      raylet::bench::ReadFlags(argc, argv, "transfer_bench: objects from one store to another over TCP.", exit_code);
  return flags ? raylet::bench::Run(flags->json) : exit_code;
}

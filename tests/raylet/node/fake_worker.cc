// A worker for tests of the raylet. The name of the function that it runs says what to do.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <thread>

#include "base/ring.h"
#include "fbs/call_record.h"
#include "tests/raylet/node/wire_process.h"

namespace raylet::test {
namespace {

using wire::RayletMessage;

std::string Text(const wire::ValueT& value) { return {value.bytes.begin(), value.bytes.end()}; }

void AwaitFile(const std::string& path) {
  struct stat status {};
  while (::stat(path.c_str(), &status) != 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

// What it serves as an actor's worker: one channel per caller.
struct Channel {
  UniqueFd fd;
  Mapping memory;
  RingConsumer calls;
  RingProducer replies;
};

class Worker {
 public:
  explicit Worker(WireProcess process) : process_(std::move(process)) {}

  int Run() {
    for (;;) {
      // Channels have no thread here: it looks often while it has some.
      auto frame =
          process_.Next(channels_.empty() ? Duration(std::chrono::hours(1)) : Duration(std::chrono::milliseconds(1)));
      if (!frame) return 0;
      if (frame->has_value() && !Hear(**frame)) return 0;
      for (auto& [id, channel] : channels_) Serve(channel);
    }
  }

 private:
  bool Hear(const Frame& frame) {
    switch (static_cast<RayletMessage>(frame.header.type)) {
      case RayletMessage::RunTask: Perform(*Parse<wire::TaskSpecT>(frame.body)); return true;
      case RayletMessage::ChannelOpened: Open(*Parse<wire::ChannelNoticeT>(frame.body)); return true;
      case RayletMessage::ChannelClosed: channels_.erase(Parse<wire::ChannelNoticeT>(frame.body)->channel); return true;
      case RayletMessage::Exit:
        for (auto& [id, channel] : channels_) Serve(channel);
        return false;
      default: return true;
    }
  }

  void Perform(const wire::TaskSpecT& spec) {
    wire::TaskResultT result;
    result.id = std::make_unique<wire::Id20>(*spec.id);
    result.process = process_.process();
    result.result = TextValue(spec.arguments.empty() ? "" : Text(*spec.arguments[0]));
    if (spec.function == "pid" || spec.function == "lend_pid") result.result = TextValue(std::to_string(::getpid()));
    if (spec.function == "lend_pid") result.lend = 1;
    if (spec.function == "crash") {
      std::puts("these are the last words");
      std::fflush(stdout);
      ::raise(SIGKILL);
    }
    if (spec.function == "exit3") std::_Exit(3);
    if (spec.function == "crash_once") {
      const std::string path = Text(*spec.arguments[0]);
      if (::access(path.c_str(), F_OK) != 0) {
        std::fclose(std::fopen(path.c_str(), "w"));
        ::raise(SIGKILL);
      }
    }
    if (spec.function == "await") AwaitFile(Text(*spec.arguments[0]));
    if (spec.function == "blocked_await") {
      Blocked(true);
      AwaitFile(Text(*spec.arguments[0]));
      Blocked(false);
    }
    if (spec.function == "never") return;
    if (spec.function == "blocked_by_nested") {  // as a task that waits in Get for its own task, for ever
      if (!spec.arguments.empty()) AwaitFile(Text(*spec.arguments[0]));
      TaskOptions nested;
      nested.function = "never";
      process_.Submit(nested);
      Blocked(true);
      return;
    }
    if (spec.function == "throw" || spec.function == "throwing_actor") {
      result.result->kind = wire::ValueKind::Failed;
      result.result->bytes.clear();
      result.result->failure = std::make_unique<wire::FailureT>();
      result.result->failure->kind = wire::FailureKind::TaskThrew;
      result.result->failure->message = "it threw";
      result.result->failure->what = "no luck";
    }
    if (spec.function == "result_of_no_task") result.id = std::make_unique<wire::Id20>(ToWire(TaskId::FromRandom()));
    (void)process_.Send(RayletMessage::TaskDone, result);
  }

  void Blocked(bool blocked) {
    wire::BlockedNoticeT notice;
    notice.blocked = blocked;
    (void)process_.Send(RayletMessage::Blocked, notice);
  }

  void Open(const wire::ChannelNoticeT& notice) {
    Channel& channel = channels_[notice.channel];
    channel.fd = std::move(process_.fds()[0]);
    process_.fds().erase(process_.fds().begin(), process_.fds().begin() + 2);
    channel.memory = *Mapping::Map(channel.fd.get(), ChannelBytes(), Mapping::Access::kReadWrite);
    const std::span<std::byte> memory(channel.memory.data(), channel.memory.size());
    channel.calls = *RingConsumer::Attach(memory.first(RingBytes(kChannelRingBytes)));
    channel.replies = *RingProducer::Attach(memory.subspan(ChannelReplyRingOffset(), RingBytes(kChannelRingBytes)));
  }

  void Serve(Channel& channel) {
    for (;;) {
      const auto record = channel.calls.Peek();
      if (!record || !record->has_value()) return;
      const std::string text(reinterpret_cast<const char*>((*record)->bytes.data()), (*record)->bytes.size());
      channel.calls.Pop();
      if (text == "crash") ::raise(SIGKILL);
      const std::string answer = text + " from " + std::to_string(::getpid());
      channel.replies.TryPush(2, std::as_bytes(std::span(answer)));
    }
  }

  WireProcess process_;
  std::map<uint64_t, Channel> channels_;
};

// A driver in a process of its own, for tests of its end: SOCKET COUNT FUNCTION ARGUMENT FILE. It submits COUNT such
// tasks with ARGUMENT, and ends once FILE is there.
int Drive(char** arguments) {
  WireOptions options;
  options.executable = std::filesystem::canonical("/proc/self/exe");
  options.arguments = {"fake"};
  auto driver = WireProcess::Register(arguments[1], options);
  if (!driver) {
    std::printf("%s\n", driver.error().message.c_str());
    return 8;
  }
  TaskOptions task;
  task.function = arguments[3];
  task.arguments = {arguments[4]};
  task.max_retries = 3;
  for (int left = std::atoi(arguments[2]); left > 0; --left) driver->Submit(task);
  AwaitFile(arguments[5]);
  return 0;
}

int Main() {
  const char* const mode = std::getenv("FAKE_WORKER_MODE");
  std::printf("fake worker starts\n");
  std::fflush(stdout);
  if (mode != nullptr && std::string(mode) == "exit") return 7;
  if (mode != nullptr && std::string(mode) == "silent") {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::pause();
  }
  const char* const token = std::getenv("RAYLET_WORKER_TOKEN");
  const char* const socket = std::getenv("RAYLET_SOCKET");
  if (token == nullptr || socket == nullptr) return 9;
  WireOptions options;
  options.kind = wire::ProcessKind::Worker;
  options.token = std::strtoull(token, nullptr, 10);
  const bool never_ready = mode != nullptr && std::string(mode) == "register";
  options.ready = !never_ready;
  auto process = WireProcess::Register(socket, options);
  if (!process) {
    std::printf("%s\n", process.error().message.c_str());
    return 8;
  }
  return never_ready ? 6 : Worker(std::move(*process)).Run();
}

}  // namespace
}  // namespace raylet::test

int main(int argc, char** argv) { return argc == 6 ? raylet::test::Drive(argv) : raylet::test::Main(); }

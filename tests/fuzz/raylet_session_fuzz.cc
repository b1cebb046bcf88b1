// A raylet that serves: drivers that have registered send it frames of every type, in any order and bent at will. Each
// may lose its connection; a process that behaves is answered all the same.
#include <sys/socket.h>
#include <uv.h>

#include <map>
#include <memory>
#include <optional>

#include "base/frame.h"
#include "base/log.h"
#include "base/shm_segment.h"
#include "base/unix_socket.h"
#include "base/waiter.h"
#include "raylet/node/raylet.h"
#include "tests/fbs/samples.h"
#include "tests/fuzz/fuzz.h"
#include "tests/harness/run_folder.h"

namespace raylet {
namespace {

// No watched object is ever sealed, so tasks wait.
class SilentStore final : public StoreLink {
 public:
  Result<std::shared_ptr<client::StoreClient>> NewClient(const std::string&) const override {
    return Fail(ErrorCode::kUnavailable, "there is no store");
  }
  uint32_t heir() const override { return 2; }
  uint32_t client_number() const override { return 1; }
  std::optional<uint64_t> BytesOf(const ObjectId&) const override { return {}; }
  bool IsLost(const ObjectId&) const override { return false; }
  std::optional<std::string> MetadataOf(const ObjectId&) const override { return {}; }
  void Delete(std::span<const ObjectId>) override {}
  Room room() const override { return {}; }
  bool Serves() const override { return true; }
  void Watch(std::span<const ObjectId>, WatchFor) override {}
  void Unwatch(std::span<const ObjectId>, WatchFor) override {}
  void SealedHere(const ObjectId&) override {}
  size_t watched() const override { return 0; }
  void DeleteMadeBy(uint32_t, std::span<const ObjectId>) override {}
  void SetHandler(Handler&) override {}
};

class Daemon {
 public:
  Daemon() {
    SetLogLevel(LogLevel::kError);
    RayletOptions options;
    options.socket = folder_.File("raylet");
    options.store_socket = folder_.File("store");
    options.logs_folder = folder_.path();
    raylet_ = std::make_unique<Raylet>(loop_, options, store_);
    FUZZ_ASSERT(raylet_->Listen());
  }

  std::string socket() const { return folder_.File("raylet"); }
  void Turn() {
    for (int i = 0; i < 4; ++i) uv_run(loop_.raw(), UV_RUN_NOWAIT);
  }

 private:
  const test::RunFolder folder_;
  Loop loop_;
  SilentStore store_;
  std::unique_ptr<Raylet> raylet_;
};

class Process {
 public:
  explicit Process(Daemon& daemon) : daemon_(daemon) {
    auto fd = ConnectUnix(daemon.socket());
    FUZZ_ASSERT(fd.has_value());
    fd_ = std::move(*fd);
    // No such program: the raylet may try to start it as often as it likes.
    auto request = samples::Make<wire::RegisterRequestT>();
    request.kind = wire::ProcessKind::Driver;
    request.pid = ::getpid();
    request.startup_token = 0;
    request.executable = "/nowhere/program";
    request.working_directory = "/";
    const auto doorbell = CreateMemfd("doorbell", sizeof(Doorbell), false);
    FUZZ_ASSERT(doorbell.has_value());
    Send(wire::RayletMessage::Register, Encode(request), doorbell->get());
  }

  void Send(wire::RayletMessage type, std::span<const std::byte> body, int descriptor = -1) {
    std::vector<std::byte> bytes;
    AppendFrame(bytes, static_cast<uint16_t>(type), 1, body);
    std::span<const std::byte> left(bytes);
    for (int tries = 0; !left.empty() && tries < 100; ++tries) {
      const bool first = left.size() == bytes.size();
      const auto sent = SendSome(
          fd_.get(), left, descriptor >= 0 && first ? std::span<const int>(&descriptor, 1) : std::span<const int>());
      if (!sent) return;  // the raylet has closed this connection: its right
      left = left.subspan(*sent);
      daemon_.Turn();
    }
  }

  // Whether a frame of this type came.
  bool Hears(wire::RayletMessage type) {
    FrameParser parser;
    for (int tries = 0; tries < 100; ++tries) {
      daemon_.Turn();
      std::byte buffer[16384];
      std::vector<UniqueFd> fds;
      const auto received = ReceiveSome(fd_.get(), buffer, fds);
      if (!received || (received->bytes == 0 && !received->would_block)) return false;
      parser.Feed(std::span(buffer).first(received->bytes));
      while (true) {
        const auto frame = parser.Next();
        FUZZ_ASSERT(frame.has_value());
        if (!*frame) break;
        if ((*frame)->header.type == static_cast<uint16_t>(type)) return true;
      }
    }
    return false;
  }

 private:
  Daemon& daemon_;
  UniqueFd fd_;
};

const std::map<wire::RayletMessage, Bytes>& Samples() {
  using wire::RayletMessage;
  static const std::map<RayletMessage, Bytes> samples = {
      {RayletMessage::LeaseWorker, Encode(samples::Make<wire::LeaseRequestT>())},
      {RayletMessage::LeaseReturned, Encode(samples::Make<wire::LeaseNoticeT>())},
      {RayletMessage::ClaimsHeld, Encode(samples::Make<wire::ClaimsHeldNoticeT>())},
      {RayletMessage::Ready, Encode(samples::Make<wire::ReadyNoticeT>())},
      {RayletMessage::SubmitTask, Encode(samples::Make<wire::TaskSpecT>())},
      {RayletMessage::TaskDone, Encode(samples::Make<wire::TaskResultT>())},
      {RayletMessage::CreateActor, Encode(samples::Make<wire::TaskSpecT>())},
      {RayletMessage::OpenChannel, Encode(samples::Make<wire::OpenChannelRequestT>())},
      {RayletMessage::KillActor, Encode(samples::Make<wire::KillActorRequestT>())},
      {RayletMessage::ReleaseActor, Encode(samples::Make<wire::ActorRequestT>())},
      {RayletMessage::FindActor, Encode(samples::Make<wire::FindActorRequestT>())},
      {RayletMessage::Blocked, Encode(samples::Make<wire::BlockedNoticeT>())},
      {RayletMessage::Stays, Encode(samples::Make<wire::StaysNoticeT>())},
      {RayletMessage::UseDevices, Encode(samples::Make<wire::DevicesNoticeT>())},
      {RayletMessage::TasksRecalled, Encode(samples::Make<wire::TasksNoticeT>())},
      {RayletMessage::ReleaseLend, Encode(samples::Make<wire::LendNoticeT>())},
      {RayletMessage::ActorExited, Encode(samples::Make<wire::ActorRequestT>())},
      {RayletMessage::NodeStatus, Encode(samples::Make<wire::EmptyNoticeT>())},
      {RayletMessage::ListNodes, Encode(samples::Make<wire::EmptyNoticeT>())},
      {RayletMessage::CancelTask, Encode(samples::Make<wire::CancelRequestT>())},
      {RayletMessage::ReportMetrics, Encode(samples::Make<wire::MetricsNoticeT>())},
      {RayletMessage::CreatePlacementGroup, Encode(samples::Make<wire::PlacementGroupT>())},
      {RayletMessage::RemovePlacementGroup, Encode(samples::Make<wire::PlacementGroupRequestT>())},
      {RayletMessage::FindPlacementGroups, Encode(samples::Make<wire::FindPlacementGroupsRequestT>())},
      {RayletMessage::AwaitPlacementGroup, Encode(samples::Make<wire::AwaitPlacementGroupRequestT>())},
  };
  return samples;
}

void Run(fuzz::Input input) {
  static Daemon daemon;
  constexpr size_t kProcesses = 2;
  std::optional<Process> processes[kProcesses];
  for (int steps = 0; !input.empty() && steps < 64; ++steps) {
    const auto choice = input.Take<uint8_t>();
    auto& process = processes[choice % kProcesses];
    if (!process) process.emplace(daemon);
    const auto type = static_cast<wire::RayletMessage>(input.Take<uint8_t>() % 61);
    const auto sample = Samples().find(type);
    if (choice & 0x80) {
      process.reset();  // ends in the middle of a message
    } else if ((choice & 0x40) || sample == Samples().end()) {
      process->Send(type, input.TakeBytes(input.Take<uint16_t>() % 1024));
    } else {
      Bytes body = sample->second;
      for (int bends = (choice >> 2) & 7; bends > 0; --bends) {
        const size_t at = input.Take<uint16_t>() % body.size();
        body[at] = input.Take<std::byte>();
      }
      process->Send(type, body);
    }
  }
  // A process that sends no nonsense, connected just now.
  Process behaved(daemon);
  behaved.Send(wire::RayletMessage::NodeStatus, Encode(wire::EmptyNoticeT()));
  FUZZ_ASSERT(behaved.Hears(wire::RayletMessage::NodeStatusReply));
}

}  // namespace
}  // namespace raylet

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  raylet::Run(raylet::fuzz::Input(data, size));
  return 0;
}

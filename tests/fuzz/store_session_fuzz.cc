// A store that serves: clients that have said hello send it frames of every type, in any order and bent at will, and
// scribble on their pin pages. Each may lose its connection; a client that behaves is answered all the same, and the
// counters add up.
#include <sys/mman.h>
#include <uv.h>

#include <map>
#include <memory>
#include <optional>

#include "base/frame.h"
#include "base/log.h"
#include "base/shm_segment.h"
#include "base/unix_socket.h"
#include "store/arena.h"
#include "store/store_server.h"
#include "tests/fbs/samples.h"
#include "tests/fuzz/fuzz.h"
#include "tests/harness/run_folder.h"

namespace raylet::store {
namespace {

constexpr uint64_t kCapacity = 1 << 20;  // small, so that it is full at times
constexpr uint64_t kEntries = 64;        // as small

template <class T>
T Must(Result<T> result) {
  FUZZ_ASSERT(result.has_value());
  return std::move(*result);
}

// Built as plasma_store's main does it, but for the index, which nobody finds by name.
class Daemon {
 public:
  Daemon()
      : listening_(Must(ListenUnix(socket(), 128))),
        index_fd_(Must(CreateMemfd("index", IndexSegmentBytes(kEntries), true))),
        index_mapping_(Must(Mapping::Map(index_fd_.get(), IndexSegmentBytes(kEntries), Mapping::Access::kReadWrite))),
        index_(InitIndexSegment(index_mapping_.data(), kEntries)),
        arena_(Must(Arena::Create(kCapacity))),
        arena_read_only_(Must(ReopenReadOnly(arena_->fd()))),
        index_read_only_(Must(ReopenReadOnly(index_fd_.get()))),
        store_(kCapacity, *arena_, index_, clock_),
        server_(std::in_place, loop_, listening_.get(), store_, index_,
                SharedSegments{arena_read_only_.get(), arena_->fd(), index_read_only_.get(), arena_->arena_bytes(),
                               IndexSegmentBytes(kEntries), kCapacity},
                clock_) {
    SetLogLevel(LogLevel::kError);
  }

  std::string socket() const { return folder_.File("store"); }
  const IndexHeader& index() const { return *index_; }
  void Turn() {
    for (int i = 0; i < 4; ++i) uv_run(loop_.raw(), UV_RUN_NOWAIT);
  }

 private:
  const test::RunFolder folder_;
  const SteadyClock clock_;
  const UniqueFd listening_, index_fd_;
  const Mapping index_mapping_;
  IndexHeader* const index_;
  const std::unique_ptr<Arena> arena_;
  const UniqueFd arena_read_only_, index_read_only_;
  Loop loop_;
  ObjectStore store_;
  std::optional<StoreServer> server_;
};

class Client {
 public:
  explicit Client(Daemon& daemon, uint32_t heir = 0) : daemon_(daemon) {
    auto fd = ConnectUnix(daemon.socket());
    FUZZ_ASSERT(fd.has_value());
    fd_ = std::move(*fd);
    auto hello = samples::Make<wire::StoreHelloT>();
    hello.pid = ::getpid();
    hello.again = 0;  // a new client
    hello.heir = heir;
    Send(wire::StoreMessage::Hello, Encode(hello));
    FUZZ_ASSERT(Hears(wire::StoreMessage::HelloReply));
    number_ = Must(Parse<wire::StoreHelloReplyT>(heard_)).client;
    FUZZ_ASSERT(fds_.size() == 4);
    auto pins = Mapping::Map(fds_.back().get(), PinPageBytes(), Mapping::Access::kReadWrite);
    FUZZ_ASSERT(pins.has_value());
    pins_ = std::move(*pins);
    fds_.clear();
  }

  void Send(wire::StoreMessage type, std::span<const std::byte> body) {
    std::vector<std::byte> bytes;
    AppendFrame(bytes, static_cast<uint16_t>(type), 1, body);
    std::span<const std::byte> left(bytes);
    for (int tries = 0; !left.empty() && tries < 100; ++tries) {
      const auto sent = SendSome(fd_.get(), left, {});
      if (!sent) return;  // the store has closed this connection: its right
      left = left.subspan(*sent);
      daemon_.Turn();
    }
  }

  // Whether a frame of this type came.
  bool Hears(wire::StoreMessage type) {
    for (int tries = 0; tries < 100; ++tries) {
      daemon_.Turn();
      std::byte buffer[16384];
      const auto received = ReceiveSome(fd_.get(), buffer, fds_);
      if (!received || (received->bytes == 0 && !received->would_block)) return false;
      parser_.Feed(std::span(buffer).first(received->bytes));
      while (true) {
        const auto frame = parser_.Next();
        FUZZ_ASSERT(frame.has_value());
        if (!*frame) break;
        if ((*frame)->header.type != static_cast<uint16_t>(type)) continue;
        heard_.assign((*frame)->body.begin(), (*frame)->body.end());
        return true;
      }
    }
    return false;
  }

  uint32_t number() const { return number_; }
  // Over the head of the page, and its first slots.
  void Scribble(size_t at, std::byte value) { pins_.data()[at % (offsetof(PinPage, slots) + 4096)] = value; }

 private:
  Daemon& daemon_;
  UniqueFd fd_;
  FrameParser parser_;
  std::vector<UniqueFd> fds_;
  Mapping pins_;
  Bytes heard_;  // the body of the frame that Hears found last
  uint32_t number_ = 0;
};

const std::map<wire::StoreMessage, Bytes>& Samples() {
  using wire::StoreMessage;
  const auto no_waiting = [](auto message) {
    message.owner = 0;
    message.timeout_ms = 0;
    return message;
  };
  auto seal = samples::Make<wire::IdRequestT>();
  *seal.id = *samples::Make<wire::CreateRequestT>().id;  // what Create made
  static const std::map<StoreMessage, Bytes> samples = {
      {StoreMessage::Hello, Encode(samples::Make<wire::StoreHelloT>())},
      {StoreMessage::Create, Encode(no_waiting(samples::Make<wire::CreateRequestT>()))},
      {StoreMessage::Seal, Encode(seal)},
      {StoreMessage::Abort, Encode(seal)},
      {StoreMessage::CreateAndSeal, Encode(no_waiting(samples::Make<wire::CreateAndSealRequestT>()))},
      {StoreMessage::Delete, Encode(samples::Make<wire::IdsRequestT>())},
      {StoreMessage::Evict, Encode(samples::Make<wire::EvictRequestT>())},
      {StoreMessage::Watch, Encode(samples::Make<wire::IdsRequestT>())},
      {StoreMessage::Unwatch, Encode(samples::Make<wire::IdsRequestT>())},
      {StoreMessage::DeleteMadeBy, Encode(samples::Make<wire::DeleteMadeByRequestT>())},
      {StoreMessage::SetOwner, Encode(samples::Make<wire::SetOwnerRequestT>())},
      {StoreMessage::CreateAndSealBatch, Encode(samples::Make<wire::CreateAndSealBatchRequestT>())},
      {StoreMessage::Subscribe, Encode(samples::Make<wire::SubscribeRequestT>())},
      {StoreMessage::OpenPutRing, Encode(samples::Make<wire::OpenPutRingRequestT>())},
      {StoreMessage::TakeOver, Encode(samples::Make<wire::TakeOverRequestT>())},
      {StoreMessage::Restore, Encode(samples::Make<wire::RestoreRequestT>())},
      {StoreMessage::ListUses, Encode(samples::Make<wire::ListUsesRequestT>())},
      {StoreMessage::SetOptions, Encode(samples::Make<wire::SetOptionsRequestT>())},
      {StoreMessage::DebugText, Encode(samples::Make<wire::DebugTextRequestT>())},
  };
  return samples;
}

void Run(fuzz::Input input) {
  static Daemon daemon;
  constexpr size_t kClients = 2;
  std::optional<Client> clients[kClients];
  for (int steps = 0; !input.empty() && steps < 64; ++steps) {
    const auto choice = input.Take<uint8_t>();
    auto& client = clients[choice % kClients];
    const auto& other = clients[(choice + 1) % kClients];
    if (!client) client.emplace(daemon, other ? other->number() : 0);
    const auto type = static_cast<wire::StoreMessage>(input.Take<uint8_t>() % 31);
    const auto sample = Samples().find(type);
    if ((choice & 0xe0) == 0xe0) {
      client.reset();  // ends in the middle of a message
    } else if ((choice & 0xe0) == 0xc0) {
      client->Scribble(input.Take<uint32_t>(), input.Take<std::byte>());
    } else if ((choice & 0x40) || sample == Samples().end()) {
      client->Send(type, input.TakeBytes(input.Take<uint16_t>() % 1024));
    } else {
      Bytes body = sample->second;
      for (int bends = (choice >> 2) & 7; bends > 0; --bends) {
        const size_t at = input.Take<uint16_t>() % body.size();
        body[at] = input.Take<std::byte>();
      }
      client->Send(type, body);
    }
  }
  const IndexCounters& counters = daemon.index().counters;
  FUZZ_ASSERT(counters.mutation_seq.load() % 2 == 0);
  FUZZ_ASSERT(counters.sealed_bytes.load() + counters.unsealed_bytes.load() + counters.dying_bytes.load() <= kCapacity);

  // A client that sends no nonsense.
  Client behaved(daemon);
  behaved.Send(wire::StoreMessage::Evict, Encode(samples::Make<wire::EvictRequestT>()));
  FUZZ_ASSERT(behaved.Hears(wire::StoreMessage::EvictReply));
}

}  // namespace
}  // namespace raylet::store

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  raylet::store::Run(raylet::fuzz::Input(data, size));
  return 0;
}

#include "tests/raylet/node/fake_store.h"

#include <new>

#include "base/check.h"
#include "base/shm_segment.h"
#include "base/unix_socket.h"
#include "fbs/messages.h"
#include "fbs/segment_layout.h"

namespace raylet::test {
namespace {
constexpr uint64_t kArenaBytes = 4096, kIndexEntries = 64;
}

class FakeStore::Session final : public FramedSocket::Handler {
 public:
  Session(FakeStore& store, UniqueFd fd) : store_(store), socket_(store.loop_, std::move(fd), {}, *this) {}

  void TellSealed(const ObjectId& object) {
    if (!watched_.contains(object)) return;
    watched_.erase(object);
    wire::SealedNoticeT notice;
    notice.id = std::make_unique<wire::Id20>(ToWire(object));
    socket_.Send(static_cast<uint16_t>(wire::StoreMessage::Sealed), 0, Encode(notice));
  }

 private:
  void Welcome(uint64_t request) {
    wire::StoreHelloReplyT reply;
    reply.status = OkStatus();
    reply.version = kStoreProtocolMax;
    reply.client = ++store_.clients_;
    reply.arena_bytes = kArenaBytes;
    reply.index_bytes = IndexSegmentBytes(kIndexEntries);
    reply.pins_bytes = PinPageBytes();
    reply.capacity_bytes = kArenaBytes;
    const auto pins = CreateMemfd("fake-pins", PinPageBytes(), false);
    RAYLET_CHECK(pins.has_value());
    const auto mapping = Mapping::Map(pins->get(), PinPageBytes(), Mapping::Access::kReadWrite);
    RAYLET_CHECK(mapping.has_value());
    auto* const page = mapping->As<PinPage>();
    page->layout_version = kLayoutVersion;
    page->client = reply.client;
    page->magic = kPinsMagic;
    const int arena = store_.arena_.get(), index = store_.index_.get();
    const int fds[] = {arena, arena, index, pins->get()};
    socket_.Send(static_cast<uint16_t>(wire::StoreMessage::HelloReply), request, Encode(reply), fds);
  }
  void OnFrame(const Frame& frame, std::vector<UniqueFd>&) override {
    if (frame.header.type == static_cast<uint16_t>(wire::StoreMessage::Hello)) {
      return Welcome(frame.header.request_id);
    }
    const auto type = static_cast<wire::StoreMessage>(frame.header.type);
    if (type == wire::StoreMessage::DeleteMadeBy || type == wire::StoreMessage::Delete) return;
    const auto request = Parse<wire::IdsRequestT>(frame.body);
    RAYLET_CHECK(request.has_value());
    socket_.Send(static_cast<uint16_t>(wire::StoreMessage::StatusReply), frame.header.request_id,
                 EncodeStatusReply({}));
    if (type == wire::StoreMessage::Unwatch) {
      for (const auto& id : request->ids) watched_.erase(FromWire<ObjectId>(id));
      return;
    }
    for (const auto& id : request->ids) {
      watched_.insert(FromWire<ObjectId>(id));
      if (store_.sealed_.contains(FromWire<ObjectId>(id))) TellSealed(FromWire<ObjectId>(id));
    }
  }
  void OnClosed(const Error&) override {}

  FakeStore& store_;
  std::set<ObjectId> watched_;
  FramedSocket socket_;
};

FakeStore::FakeStore(const std::string& socket) {
  auto arena = CreateMemfd("fake-arena", kArenaBytes, false);
  auto index = CreateMemfd("fake-index", IndexSegmentBytes(kIndexEntries), false);
  RAYLET_CHECK(arena.has_value() && index.has_value());
  arena_ = std::move(*arena);
  index_ = std::move(*index);
  const auto mapping = Mapping::Map(index_.get(), IndexSegmentBytes(kIndexEntries), Mapping::Access::kReadWrite);
  RAYLET_CHECK(mapping.has_value());
  InitIndexSegment(mapping->data(), kIndexEntries);
  auto fd = ListenUnix(socket, 16);
  RAYLET_CHECK(fd.has_value());
  listen_fd_ = std::move(*fd);
  listener_ = FdWatcher(loop_, listen_fd_.get(), [this](FdWatcher::Events) { Accept(); });
  listener_.Watch({true, false});
  thread_ = std::thread([this] { loop_.Run(); });
}

FakeStore::~FakeStore() {
  loop_.Stop();
  thread_.join();
  listener_.Cancel();
  sessions_.clear();
}

void FakeStore::Accept() {
  auto fd = AcceptUnix(listen_fd_.get());
  if (fd && *fd) sessions_.push_back(std::make_unique<Session>(*this, std::move(*fd)));
}

void FakeStore::Seal(const ObjectId& object) {
  loop_.Post([this, object] {
    sealed_.insert(object);
    for (const auto& session : sessions_) session->TellSealed(object);
  });
}

}  // namespace raylet::test

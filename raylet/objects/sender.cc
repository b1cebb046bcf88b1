#include "raylet/objects/sender.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

#include "base/frame.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/unix_socket.h"
#include "fbs/messages.h"

namespace raylet {
namespace {

constexpr size_t kPriorities = 3;
constexpr size_t kBatchBytes = kChunkBytes;  // of objects, in one system call
constexpr size_t kBatchParts = 128;          // a header and a chunk take two each
constexpr int kSendsPerTurn = 16;            // then the loop's other sockets have their turn
constexpr size_t kBytesPerRead = size_t{16} << 10;

}  // namespace

class ObjectSender::Connection {
 public:
  Connection(ObjectSender& sender, uint64_t key, const NodeId& node, UniqueFd fd)
      : sender_(sender),
        key_(key),
        node_(node),
        fd_(std::move(fd)),
        parser_(kBulkMessageBytesMax),
        watcher_(sender.loop_, fd_.get(), [this](FdWatcher::Events events) { Ready(events); }) {
    const int on = 1;
    // A small object must not wait for the acknowledgement of the one before. Fails on sockets that
    // do not wait anyway.
    (void)::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watcher_.Watch({.readable = true});
  }

  size_t pulls() const { return pulls_ + on_disk_.size(); }
  void Restored(uint64_t pull, Restorer::Restored restored);
  const NodeId& node() const { return node_; }
  bool busy() const { return pulls_ > 0 || !batch_.empty(); }
  bool Stalled() { return !batch_.empty() && !std::exchange(moved_, false); }

 private:
  struct Transfer {
    uint64_t pull = 0;
    ObjectId object;
    uint64_t offset = 0;
    ObjectSizes sizes;  // of the request until it has begun, then the object's
    bool begun = false;
    std::shared_ptr<const client::PinnedObject> view;  // once it has begun
    std::optional<Restorer::Restored> restored;        // of a spilled object, once it has been waited for
  };
  struct OnDisk {
    Transfer transfer;
    size_t priority = 0;
  };
  // A piece of a batch: bytes of head_, or of an object.
  struct Part {
    const std::byte* object_bytes = nullptr;
    size_t head_offset = 0;
    size_t bytes = 0;
  };

  void Ready(FdWatcher::Events events);
  Result<void> Read();
  Result<void> OnMessage(const Frame& frame);
  Result<void> OnPull(const Frame& frame);
  void Reprioritize(uint64_t pull, size_t priority);
  void Stop(uint64_t pull);
  std::pair<size_t, std::deque<Transfer>::iterator> Find(uint64_t pull);

  Result<void> Send();
  void CutBatch();
  bool Begin(Transfer& transfer, size_t priority);
  void CutChunk(Transfer& transfer);
  void Head(uint16_t type, uint64_t pull, std::span<const std::byte> body, size_t more_bytes = 0);
  Result<bool> SendBatch();

  ObjectSender& sender_;
  const uint64_t key_;
  const NodeId node_;
  const UniqueFd fd_;
  FrameParser parser_;
  std::array<std::deque<Transfer>, kPriorities> queues_;  // in turn within a priority
  size_t pulls_ = 0;                                      // in queues_
  std::map<uint64_t, OnDisk> on_disk_;                    // pulls of objects that are being restored

  std::vector<Part> batch_;  // not sent yet, the first perhaps in part
  size_t batch_next_ = 0;
  size_t batch_object_bytes_ = 0;
  std::vector<std::byte> head_;                                             // frame headers and messages of the batch
  std::vector<std::shared_ptr<const client::PinnedObject>> batch_objects_;  // stay pinned until it is sent
  bool moved_ = true;                                                       // since the last look at stalls
  FdWatcher watcher_;                                                       // after fd_: stops before it closes
};

// ---- requests ----

void ObjectSender::Connection::Ready(FdWatcher::Events events) {
  Result<void> outcome;
  if (events.readable) outcome = Read();
  if (outcome) outcome = Send();
  if (!outcome) return sender_.Remove(key_, outcome.error());  // destroys this
}

Result<void> ObjectSender::Connection::Read() {
  std::array<std::byte, kBytesPerRead> buffer;
  std::vector<UniqueFd> none;
  const auto received = ReceiveSome(fd_.get(), buffer, none);
  if (!received) return Fail(received.error());
  if (received->would_block) return {};
  if (received->bytes == 0) return Fail(ErrorCode::kDisconnected, "the other side has closed the connection");
  parser_.Feed(std::span(buffer).first(received->bytes));
  for (;;) {
    const auto frame = parser_.Next();
    if (!frame) return Fail(frame.error());
    if (!frame->has_value()) return {};
    RAYLET_RETURN_IF_ERROR(OnMessage(**frame));
  }
}

Result<void> ObjectSender::Connection::OnMessage(const Frame& frame) {
  switch (static_cast<wire::BulkMessage>(frame.header.type)) {
    case wire::BulkMessage::Pull: return OnPull(frame);
    case wire::BulkMessage::PullPriority: {
      const auto notice = Parse<wire::PullPriorityNoticeT>(frame.body);
      if (!notice) return Fail(notice.error());
      Reprioritize(frame.header.request_id, notice->priority);
      return {};
    }
    case wire::BulkMessage::PullStop: Stop(frame.header.request_id); return {};
    default: break;
  }
  return Fail(ErrorCode::kProtocolError, StrCat("a message of type ", frame.header.type, " from the side that pulls"));
}

Result<void> ObjectSender::Connection::OnPull(const Frame& frame) {
  const auto request = Parse<wire::PullRequestT>(frame.body);
  if (!request) return Fail(request.error());
  // Refusals count, too: they bound a side that pulls and never reads.
  if (pulls() >= sender_.limits_.pulls_per_connection_max)
    return Fail(ErrorCode::kFull, StrCat(pulls(), " pulls are under way on one connection, the limit"));
  Transfer transfer;
  transfer.pull = frame.header.request_id;
  transfer.object = FromWire<ObjectId>(*request->object);
  transfer.offset = request->offset;
  transfer.sizes = {request->data_bytes, request->metadata_bytes};
  queues_[std::min<size_t>(request->priority, kPriorities - 1)].push_back(std::move(transfer));
  ++pulls_;
  return {};
}

std::pair<size_t, std::deque<ObjectSender::Connection::Transfer>::iterator> ObjectSender::Connection::Find(
    uint64_t pull) {
  for (size_t priority = 0; priority < kPriorities; ++priority) {
    auto& queue = queues_[priority];
    const auto found =
        std::find_if(queue.begin(), queue.end(), [&](const Transfer& each) { return each.pull == pull; });
    if (found != queue.end()) return {priority, found};
  }
  return {kPriorities, {}};
}

void ObjectSender::Connection::Reprioritize(uint64_t pull, size_t priority) {
  priority = std::min(priority, kPriorities - 1);
  if (const auto waits = on_disk_.find(pull); waits != on_disk_.end()) waits->second.priority = priority;
  const auto [at, found] = Find(pull);
  if (at == kPriorities || at == priority) return;  // sent already
  queues_[priority].push_back(std::move(*found));
  queues_[at].erase(found);
}

void ObjectSender::Connection::Stop(uint64_t pull) {
  on_disk_.erase(pull);
  const auto [at, found] = Find(pull);
  if (at == kPriorities) return;
  queues_[at].erase(found);
  --pulls_;
}

void ObjectSender::Connection::Restored(uint64_t pull, Restorer::Restored restored) {
  auto waits = on_disk_.extract(pull);
  if (!waits) return;  // nobody wants the object any more
  auto& [transfer, priority] = waits.mapped();
  transfer.restored = std::move(restored);
  queues_[priority].push_back(std::move(transfer));
  ++pulls_;
  watcher_.Watch({.readable = true, .writable = true});
}

// ---- bytes ----

Result<void> ObjectSender::Connection::Send() {
  for (int i = 0; i < kSendsPerTurn; ++i) {
    if (batch_.empty()) CutBatch();
    if (batch_.empty()) {
      watcher_.Watch({.readable = true});
      return {};
    }
    const auto sent = SendBatch();
    if (!sent) return Fail(sent.error());
    if (!*sent) break;
  }
  sender_.WatchForStalls();
  watcher_.Watch({.readable = true, .writable = true});
  return {};
}

void ObjectSender::Connection::CutBatch() {
  head_.clear();
  batch_objects_.clear();
  batch_next_ = 0;
  batch_object_bytes_ = 0;
  while (pulls_ > 0 && batch_object_bytes_ < kBatchBytes && batch_.size() + 3 <= kBatchParts) {
    auto& queue = *std::find_if(queues_.begin(), queues_.end(), [](const auto& each) { return !each.empty(); });
    Transfer transfer = std::move(queue.front());
    queue.pop_front();
    --pulls_;
    if (!transfer.begun && !Begin(transfer, static_cast<size_t>(&queue - queues_.data()))) continue;
    CutChunk(transfer);
    if (transfer.offset == transfer.sizes.total()) {
      ++sender_.counters_.objects_sent;
      continue;
    }
    queue.push_back(std::move(transfer));
    ++pulls_;
  }
}

// Pins the object and announces it. False: it is not there, and a refusal says so, or it has still to be restored.
bool ObjectSender::Connection::Begin(Transfer& transfer, size_t priority) {
  Error why;
  bool on_disk = false;
  auto view = transfer.restored ? *std::move(transfer.restored) : sender_.store_->TryGet(transfer.object, &on_disk);
  if (on_disk) {
    sender_.Restore(key_, transfer.pull, transfer.object);
    on_disk_.emplace(transfer.pull, OnDisk{std::move(transfer), priority});
    return false;
  }
  if (!view) {
    why = view.error();
  } else if (!view->has_value()) {
    why = {ErrorCode::kNotFound, StrCat("object ", transfer.object.hex(), " is not in the store at ",
                                        sender_.store_->socket_path(), " any more: locate it at its owner")};
  } else {
    const ObjectSizes sizes{(*view)->data().size(), (*view)->metadata().size()};
    if (transfer.offset == 0 || (sizes == transfer.sizes && transfer.offset < sizes.total())) {
      transfer.view = std::make_shared<client::PinnedObject>(*std::move(*view));
      transfer.sizes = sizes;
      transfer.begun = true;
      wire::PullHeaderT header;
      header.data_bytes = sizes.data_bytes;
      header.metadata_bytes = sizes.metadata_bytes;
      header.offset = transfer.offset;
      Head(static_cast<uint16_t>(wire::BulkMessage::PullHeader), transfer.pull, Encode(header));
      return true;
    }
    why = {ErrorCode::kInvalid,
           StrCat("object ", transfer.object.hex(), " has ", sizes.data_bytes, " bytes and ", sizes.metadata_bytes,
                  " of metadata here; the pull goes on from byte ", transfer.offset, " of an object of ",
                  transfer.sizes.data_bytes, " and ", transfer.sizes.metadata_bytes)};
  }
  ++sender_.counters_.pulls_refused;
  wire::PullRefusedT refusal;
  refusal.status = MakeWireStatus(why);
  Head(static_cast<uint16_t>(wire::BulkMessage::PullRefused), transfer.pull, Encode(refusal));
  return false;
}

void ObjectSender::Connection::CutChunk(Transfer& transfer) {
  const uint64_t offset = transfer.offset;
  const auto size = static_cast<size_t>(ChunkBytesAt(transfer.sizes, offset));
  const auto data = transfer.view->data();
  const std::span<const std::byte> bytes =
      offset < data.size() ? data.subspan(offset, size) : transfer.view->metadata().subspan(offset - data.size(), size);
  const wire::ChunkHeader header(offset, ChunkChecksum(transfer.object, transfer.sizes, offset, bytes));
  Head(static_cast<uint16_t>(wire::BulkMessage::PullChunk), transfer.pull, std::as_bytes(std::span(&header, 1)), size);
  if (size > 0) batch_.push_back({bytes.data(), 0, size});
  batch_objects_.push_back(transfer.view);
  batch_object_bytes_ += size;
  transfer.offset += size;
}

// A frame of the batch; `more_bytes` of its body follow from the object.
void ObjectSender::Connection::Head(uint16_t type, uint64_t pull, std::span<const std::byte> body, size_t more_bytes) {
  const size_t begin = head_.size();
  AppendFrame(head_, type, pull, body);
  const auto body_bytes = static_cast<uint32_t>(body.size() + more_bytes);
  static_assert(offsetof(FrameHeader, body_bytes) == 0);
  std::memcpy(head_.data() + begin, &body_bytes, sizeof body_bytes);
  if (!batch_.empty() && batch_.back().object_bytes == nullptr) {
    batch_.back().bytes += head_.size() - begin;
    return;
  }
  batch_.push_back({nullptr, begin, head_.size() - begin});
}

// True when all of it has gone; false when the socket takes no more for now.
Result<bool> ObjectSender::Connection::SendBatch() {
  std::array<iovec, kBatchParts> parts;
  size_t count = 0;
  for (size_t i = batch_next_; i < batch_.size(); ++i) {
    const Part& part = batch_[i];
    const std::byte* const bytes = part.object_bytes != nullptr ? part.object_bytes : head_.data() + part.head_offset;
    parts[count++] = {const_cast<std::byte*>(bytes), part.bytes};
  }
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = count;
  ++sender_.counters_.system_calls;
  const ssize_t sent = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) {
    if (errno == EAGAIN || errno == EINTR) return false;
    if (errno == EPIPE || errno == ECONNRESET)
      return Fail(ErrorCode::kDisconnected, "the other side has closed the connection");
    return FailErrno("sendmsg", errno);
  }
  moved_ = true;
  auto left = static_cast<size_t>(sent);
  while (left > 0) {
    Part& part = batch_[batch_next_];
    const size_t taken = std::min(left, part.bytes);
    if (part.object_bytes != nullptr) {
      part.object_bytes += taken;
      sender_.counters_.bytes_sent += taken;
    } else {
      part.head_offset += taken;
    }
    part.bytes -= taken;
    left -= taken;
    if (part.bytes == 0) ++batch_next_;
  }
  if (batch_next_ < batch_.size()) return false;
  batch_.clear();
  return true;
}

// ---- the sender ----

ObjectSender::ObjectSender(Loop& loop, std::shared_ptr<client::StoreClient> store, ObjectSenderLimits limits)
    : loop_(loop), store_(std::move(store)), limits_(limits), restorer_(loop, store_) {}

ObjectSender::~ObjectSender() = default;

void ObjectSender::Serve(const NodeId& node, UniqueFd fd) {
  const uint64_t key = next_key_++;
  connections_[key] = std::make_unique<Connection>(*this, key, node, std::move(fd));
}

size_t ObjectSender::pulls() const {
  size_t pulls = 0;
  for (const auto& [key, connection] : connections_) pulls += connection->pulls();
  return pulls;
}

void ObjectSender::Disconnect(const NodeId& node, const Error& why) {
  std::vector<uint64_t> keys;
  for (const auto& [key, connection] : connections_)
    if (connection->node() == node) keys.push_back(key);
  for (const uint64_t key : keys) Remove(key, why);
}

void ObjectSender::Restore(uint64_t key, uint64_t pull, const ObjectId& object) {
  restorer_.Get(object, [this, key, pull](Restorer::Restored restored) {
    const auto connection = connections_.find(key);
    if (connection != connections_.end()) connection->second->Restored(pull, std::move(restored));
  });
}

void ObjectSender::Remove(uint64_t key, const Error& why) {
  const auto connection = connections_.find(key);
  if (why.code != ErrorCode::kDisconnected)
    RAYLET_LOG(kWarning, "the bulk connection from node ", connection->second->node().hex(),
               " is closed: ", why.message);
  connections_.erase(connection);
}

void ObjectSender::WatchForStalls() {
  if (stall_timer_) return;
  stall_timer_ = Timer(loop_, limits_.stall, limits_.stall, [this] { DropStalled(); });
}

void ObjectSender::DropStalled() {
  std::vector<uint64_t> stalled;
  for (const auto& [key, connection] : connections_)
    if (connection->Stalled()) stalled.push_back(key);
  for (const uint64_t key : stalled)
    Remove(key, {ErrorCode::kSlowConsumer,
                 StrCat("the other side has read nothing for ", limits_.stall.count(), " ms, the limit")});
  const auto busy = [](const auto& each) { return each.second->busy(); };
  if (std::none_of(connections_.begin(), connections_.end(), busy)) stall_timer_.Cancel();
}

}  // namespace raylet

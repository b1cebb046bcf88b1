#include "raylet/objects/receiver.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/frame.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/unix_socket.h"
#include "fbs/messages.h"
#include "raylet/objects/bulk_reader.h"

namespace raylet {
namespace {

constexpr int kReadsPerTurn = 16;  // then the loop's other sockets have their turn
// Objects up to this size are created and sealed in one step. The store client sends as much inside
// a request.
constexpr uint64_t kSmallObjectBytesMax = uint64_t{16} << 10;
constexpr size_t kBatchObjectsMax = 256;             // created and sealed in one step
constexpr size_t kUnsentBytesMax = size_t{1} << 20;  // of requests

std::byte* const kNothing = reinterpret_cast<std::byte*>(alignof(std::max_align_t));  // the place of zero bytes

}  // namespace

// ---- one connection ----

class ObjectReceiver::Connection final : public BulkReader::Sink {
 public:
  Connection(ObjectReceiver& receiver, const NodeId& node, UniqueFd fd)
      : receiver_(receiver),
        node_(node),
        fd_(std::move(fd)),
        reader_(*this),
        watcher_(receiver.loop_, fd_.get(), [this](FdWatcher::Events events) { Ready(events); }) {
    const int on = 1;
    (void)::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // fails where nothing is delayed anyway
    watcher_.Watch({.readable = true});
  }

  const NodeId& node() const { return node_; }
  size_t pulls = 0;  // under way here
  bool Stalled() { return pulls > 0 && !std::exchange(moved_, false); }
  void Moved() { moved_ = true; }
  void Forget(PullNumber pull) { reader_.Forget(pull); }

  template <class Message>
  void Tell(wire::BulkMessage type, PullNumber pull, const Message& message) {
    AppendFrame(unsent_, static_cast<uint16_t>(type), pull, Encode(message));
    // Sent at the end of this turn, together with its other messages.
    watcher_.Watch({.readable = true, .writable = true});
  }

  Result<std::span<std::byte>> PlaceFor(uint64_t pull, uint64_t offset, uint64_t bytes) override {
    if (!OfThis(pull)) return std::span<std::byte>();
    return receiver_.PlaceFor(pull, offset, bytes);
  }
  Result<void> OnChunk(uint64_t pull, uint64_t offset, std::span<const std::byte> bytes, uint64_t checksum) override {
    return receiver_.OnChunk(pull, offset, bytes, checksum);
  }
  Result<void> OnMessage(const FrameHeader& header, std::span<const std::byte> body) override;

 private:
  bool OfThis(PullNumber pull) const {
    const auto under_way = receiver_.pulls_.find(pull);
    return under_way != receiver_.pulls_.end() && under_way->second.connection == this;
  }
  void Ready(FdWatcher::Events events) {
    Result<void> outcome;
    if (events.readable) outcome = Read();
    if (outcome && events.writable) outcome = Send();
    if (!outcome) receiver_.ConnectionGone(*this, outcome.error());  // destroys this
  }
  Result<void> Read();
  Result<void> Send();

  ObjectReceiver& receiver_;
  const NodeId node_;
  const UniqueFd fd_;
  BulkReader reader_;
  std::vector<std::byte> unsent_;
  bool moved_ = true;  // since the last look at stalls
  FdWatcher watcher_;  // after fd_: stops before it closes
};

Result<void> ObjectReceiver::Connection::Read() {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const auto room = reader_.Room();
    ++receiver_.counters_.system_calls;
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(room.data());
    message.msg_iovlen = room.size();
    const ssize_t received = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT);
    if (received == 0)
      return Fail(ErrorCode::kDisconnected, StrCat("node ", node_.hex(), " has closed the connection"));
    if (received < 0) {
      if (errno == EAGAIN) return {};
      if (errno == EINTR) continue;
      if (errno == ECONNRESET)
        return Fail(ErrorCode::kDisconnected, StrCat("the connection to node ", node_.hex(), " was reset"));
      return FailErrno("recvmsg", errno);
    }
    moved_ = true;
    RAYLET_RETURN_IF_ERROR(reader_.Took(static_cast<size_t>(received)));
  }
  return {};
}

Result<void> ObjectReceiver::Connection::Send() {
  const auto sent = SendSome(fd_.get(), unsent_, {});
  if (!sent) return Fail(sent.error());
  unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(*sent));
  if (unsent_.size() > kUnsentBytesMax)
    return Fail(ErrorCode::kSlowConsumer, StrCat("node ", node_.hex(), " does not read the requests to it"));
  watcher_.Watch({.readable = true, .writable = !unsent_.empty()});
  return {};
}

Result<void> ObjectReceiver::Connection::OnMessage(const FrameHeader& header, std::span<const std::byte> body) {
  switch (static_cast<wire::BulkMessage>(header.type)) {
    case wire::BulkMessage::PullHeader: {
      const auto parsed = Parse<wire::PullHeaderT>(body);
      if (!parsed) return Fail(parsed.error());
      return OfThis(header.request_id) ? receiver_.OnHeader(header.request_id, *parsed) : Result<void>();
    }
    case wire::BulkMessage::PullRefused: {
      const auto refused = Parse<wire::PullRefusedT>(body);
      if (!refused) return Fail(refused.error());
      const auto status = FromStatus(*refused->status);
      if (status) return Fail(ErrorCode::kProtocolError, "a refusal without a reason");
      if (OfThis(header.request_id)) receiver_.OnRefused(header.request_id, status.error());
      return {};
    }
    default: break;
  }
  return Fail(ErrorCode::kProtocolError,
              StrCat("a message of type ", header.type, " from the side that sends objects"));
}

// ---- pulls ----

ObjectReceiver::ObjectReceiver(Loop& loop, std::shared_ptr<client::StoreClient> store, Handler& handler,
                               ObjectReceiverLimits limits)
    : loop_(loop), store_(std::move(store)), handler_(handler), limits_(limits) {}

ObjectReceiver::~ObjectReceiver() = default;

void ObjectReceiver::Connect(const NodeId& node, UniqueFd fd) {
  Disconnect(node, {ErrorCode::kDisconnected, StrCat("node ", node.hex(), " has connected anew")});
  connections_[node] = std::make_unique<Connection>(*this, node, std::move(fd));
}

void ObjectReceiver::Disconnect(const NodeId& node, const Error& why) {
  if (const auto connection = connections_.find(node); connection != connections_.end())
    ConnectionGone(*connection->second, why);
}

void ObjectReceiver::CloseIdle(const NodeId& node) {
  const auto connection = connections_.find(node);
  if (connection != connections_.end() && connection->second->pulls == 0) connections_.erase(connection);
}

void ObjectReceiver::Pull(PullNumber pull, const ObjectId& object, const NodeId& from, PullPriority priority) {
  const auto connection = connections_.find(from);
  StopPull(object);  // an earlier pull, which the caller has given up
  const auto arriving = arriving_.find(object);
  const uint64_t good_bytes = arriving == arriving_.end() ? 0 : arriving->second.good_bytes;
  if (connection == connections_.end())
    return handler_.OnPullEnded(
        pull, object, {ErrorCode::kDisconnected, StrCat("there is no connection to node ", from.hex())}, good_bytes);
  wire::PullRequestT request;
  request.object = std::make_unique<wire::Id20>(ToWire(object));
  request.priority = static_cast<uint8_t>(priority);
  if (arriving != arriving_.end()) {
    request.offset = good_bytes;
    request.data_bytes = arriving->second.sizes.data_bytes;
    request.metadata_bytes = arriving->second.sizes.metadata_bytes;
    if (std::exchange(arriving->second.kept, false)) kept_bytes_ -= arriving->second.sizes.total();
  }
  pulls_[pull] = {object, connection->second.get()};
  if (++connection->second->pulls == 1) connection->second->Moved();
  connection->second->Tell(wire::BulkMessage::Pull, pull, request);
  WatchForStalls();
}

void ObjectReceiver::Raise(PullNumber pull, PullPriority priority) {
  const auto under_way = pulls_.find(pull);
  if (under_way == pulls_.end()) return;
  wire::PullPriorityNoticeT notice;
  notice.priority = static_cast<uint8_t>(priority);
  under_way->second.connection->Tell(wire::BulkMessage::PullPriority, pull, notice);
}

void ObjectReceiver::Stop(const ObjectId& object) {
  StopPull(object);
  Drop(object);
}

void ObjectReceiver::StopPull(const ObjectId& object) {
  const auto under_way =
      std::find_if(pulls_.begin(), pulls_.end(), [&](const auto& each) { return each.second.object == object; });
  if (under_way == pulls_.end()) return;
  Connection& connection = *under_way->second.connection;
  connection.Forget(under_way->first);
  connection.Tell(wire::BulkMessage::PullStop, under_way->first, wire::EmptyNoticeT());
  --connection.pulls;
  pulls_.erase(under_way);
}

void ObjectReceiver::Drop(const ObjectId& object) {
  const auto arriving = arriving_.find(object);
  if (arriving == arriving_.end()) return;
  if (arriving->second.kept) kept_bytes_ -= arriving->second.sizes.total();
  arriving_.erase(arriving);  // the writer aborts
}

Result<void> ObjectReceiver::OnHeader(PullNumber pull, const wire::PullHeaderT& header) {
  UnderWay& under_way = pulls_.at(pull);
  const ObjectId object = under_way.object;
  const ObjectSizes sizes{header.data_bytes, header.metadata_bytes};
  // No chunk has passed its checksum, which covers the sizes. So an earlier header may have been
  // wrong.
  if (const auto early = arriving_.find(object);
      early != arriving_.end() && early->second.good_bytes == 0 && early->second.sizes != sizes)
    Drop(object);
  const auto arriving = arriving_.find(object);
  const uint64_t good_bytes = arriving == arriving_.end() ? 0 : arriving->second.good_bytes;
  if (under_way.begun || header.offset != good_bytes ||
      (arriving != arriving_.end() && arriving->second.sizes != sizes))
    return Fail(ErrorCode::kProtocolError, StrCat("a header of object ", object.hex(), " that was not pulled"));
  under_way.begun = true;
  counters_.bytes_resumed += good_bytes;
  if (arriving == arriving_.end()) {
    if (const auto room = MakeRoom(object, sizes); !room) {
      // A copy that was sealed here meanwhile is as good.
      if (room.error().code == ErrorCode::kAlreadyExists) {
        bool on_disk = false;
        auto view = store_->TryGet(object, &on_disk);
        if (view && (view->has_value() || on_disk)) {
          under_way.connection->Tell(wire::BulkMessage::PullStop, pull, wire::EmptyNoticeT());
          --under_way.connection->pulls;
          pulls_.erase(pull);
          handler_.OnPullSealed(pull, object, on_disk ? client::PinnedObject() : **std::move(view));
          return {};
        }
      }
      End(pull, room.error(), /*tell_sender=*/true);
      return {};
    }
  }
  handler_.OnPullSized(pull, object, sizes.total());
  return {};
}

Result<void> ObjectReceiver::MakeRoom(const ObjectId& object, const ObjectSizes& sizes) {
  if (sizes.data_bytes > store_->capacity_bytes() || sizes.metadata_bytes > store_->capacity_bytes() ||
      sizes.total() > store_->capacity_bytes())
    return Fail(ErrorCode::kTooLarge, StrCat("object ", object.hex(), " has ", sizes.data_bytes, " bytes and ",
                                             sizes.metadata_bytes, " of metadata; the store at ", store_->socket_path(),
                                             " holds ", store_->capacity_bytes(), ": give it more with -m"));
  Arriving arriving;
  arriving.sizes = sizes;
  if (sizes.total() <= kSmallObjectBytesMax) {
    arriving.small = std::make_unique_for_overwrite<std::byte[]>(std::max<uint64_t>(sizes.total(), 1));
  } else {
    const std::vector<std::byte> metadata(sizes.metadata_bytes);  // comes later
    auto writer = store_->Create(object, sizes.data_bytes, metadata, {.evict_if_full = true});
    if (!writer) return Fail(writer.error());
    arriving.writer = *std::move(writer);
  }
  arriving_.emplace(object, std::move(arriving));
  return {};
}

std::byte* ObjectReceiver::Arriving::At(uint64_t offset) const {
  if (small != nullptr) return small.get() + offset;
  if (offset < sizes.data_bytes) return writer.data().data() + offset;
  return writer.metadata().data() + (offset - sizes.data_bytes);
}

Result<std::span<std::byte>> ObjectReceiver::PlaceFor(PullNumber pull, uint64_t offset, uint64_t bytes) {
  const UnderWay& under_way = pulls_.at(pull);
  const auto found = arriving_.find(under_way.object);
  if (!under_way.begun || found == arriving_.end())
    return Fail(ErrorCode::kProtocolError, StrCat("a chunk of object ", under_way.object.hex(), " before its header"));
  Arriving& arriving = found->second;
  const uint64_t end = offset < arriving.sizes.data_bytes ? arriving.sizes.data_bytes : arriving.sizes.total();
  const bool empty_object = arriving.sizes.total() == 0 && bytes == 0;
  if (offset != arriving.good_bytes || bytes > end - offset || (bytes == 0 && !empty_object))
    return Fail(ErrorCode::kProtocolError,
                StrCat("a chunk of ", bytes, " bytes at ", offset, " of object ", under_way.object.hex(), ", of which ",
                       arriving.good_bytes, " of ", arriving.sizes.total(), " bytes are here"));
  if (bytes == 0) return std::span<std::byte>(kNothing, 0);
  if (arriving.small == nullptr && offset < arriving.sizes.data_bytes)
    pages_.MapAhead(arriving.At(offset), bytes, arriving.writer.data().data() + arriving.sizes.data_bytes);
  return std::span<std::byte>(arriving.At(offset), bytes);
}

Result<void> ObjectReceiver::OnChunk(PullNumber pull, uint64_t offset, std::span<const std::byte> bytes,
                                     uint64_t checksum) {
  const ObjectId object = pulls_.at(pull).object;
  Arriving& arriving = arriving_.at(object);
  if (ChunkChecksum(object, arriving.sizes, offset, bytes) != checksum) {
    ++counters_.chunks_corrupt;
    return Fail(ErrorCode::kProtocolError, StrCat("the chunk of ", bytes.size(), " bytes at ", offset, " of object ",
                                                  object.hex(), " fails its checksum: it is pulled again"));
  }
  arriving.good_bytes += bytes.size();
  counters_.bytes_received += bytes.size();
  if (arriving.good_bytes < arriving.sizes.total()) return {};
  if (arriving.small != nullptr)
    SealSoon(pull);
  else
    Seal(pull, object);
  return {};
}

// The store answers once for all small objects of a turn.
void ObjectReceiver::SealSoon(PullNumber pull) {
  whole_.push_back(pull);
  if (whole_.size() > 1) return;
  loop_.AtEndOfTurn([this, life = std::weak_ptr<int>(life_)] {
    if (!life.expired()) SealWhole();
  });
}

void ObjectReceiver::SealWhole() {
  std::vector<PullNumber> batch;
  uint64_t bytes = 0;
  for (const PullNumber pull : std::exchange(whole_, {})) {
    const auto under_way = pulls_.find(pull);
    if (under_way == pulls_.end()) continue;  // it has ended meanwhile
    const uint64_t more = arriving_.at(under_way->second.object).sizes.total();
    if (batch.size() == kBatchObjectsMax || bytes + more > kSmallObjectBytesMax) {
      SealBatch(std::exchange(batch, {}));
      bytes = 0;
    }
    batch.push_back(pull);
    bytes += more;
  }
  SealBatch(batch);
}

void ObjectReceiver::SealBatch(std::span<const PullNumber> pulls) {
  std::vector<client::BatchObject> objects;
  objects.reserve(pulls.size());
  for (const PullNumber pull : pulls) {
    const ObjectId object = pulls_.at(pull).object;
    const Arriving& arriving = arriving_.at(object);
    const std::span<const std::byte> bytes(arriving.small.get(), arriving.sizes.total());
    objects.push_back({object, bytes.first(arriving.sizes.data_bytes), bytes.subspan(arriving.sizes.data_bytes)});
  }
  const bool all = objects.size() > 1 && store_->CreateAndSealBatch(objects, {.evict_if_full = true}).has_value();
  for (size_t i = 0; i < objects.size(); ++i) {
    const ObjectId object = objects[i].id;
    auto here = all ? store_->TryGet(object) : Result<std::optional<client::PinnedObject>>(std::nullopt);
    if (here && here->has_value())
      Sealed(pulls[i], object, **std::move(here));
    else
      Seal(pulls[i], object);  // alone: one that is there already, or finds no room, does not stop the others
  }
}

void ObjectReceiver::Seal(PullNumber pull, const ObjectId& object) {
  Arriving& arriving = arriving_.at(object);
  Result<client::PinnedObject> view;
  if (arriving.small != nullptr) {
    const std::span<const std::byte> bytes(arriving.small.get(), arriving.sizes.total());
    const auto data = bytes.first(arriving.sizes.data_bytes);
    const auto sealed = store_->CreateAndSeal(object, data, bytes.subspan(data.size()), {.evict_if_full = true});
    bool on_disk = false;
    auto here = store_->TryGet(object, &on_disk);  // whichever process made it
    if (!here)
      view = Fail(here.error());
    else if (here->has_value())
      view = **std::move(here);
    else if (!sealed && !on_disk)
      view = Fail(sealed.error());
  } else {
    view = std::move(arriving.writer).SealAndView();
  }
  if (!view) {
    // The store's kNotFound is not the sender's.
    const ErrorCode code = view.error().code == ErrorCode::kNotFound ? ErrorCode::kUnavailable : view.error().code;
    return End(pull, {code, view.error().message}, /*tell_sender=*/false);
  }
  Sealed(pull, object, *std::move(view));
}

void ObjectReceiver::Sealed(PullNumber pull, const ObjectId& object, client::PinnedObject view) {
  ++counters_.objects_received;
  --pulls_.at(pull).connection->pulls;
  pulls_.erase(pull);
  arriving_.erase(object);
  handler_.OnPullSealed(pull, object, std::move(view));
}

void ObjectReceiver::OnRefused(PullNumber pull, const Error& why) {
  if (why.code == ErrorCode::kInvalid)
    Drop(pulls_.at(pull).object);  // the bytes here belong to another object, so begin anew
  // A kFull or kTooLarge of the sender says nothing about this machine.
  const bool not_there = why.code == ErrorCode::kNotFound;
  End(pull, {not_there ? ErrorCode::kNotFound : ErrorCode::kUnavailable, why.message}, /*tell_sender=*/false);
}

// Ends a pull early. The part that has come stays, if there is room for it.
void ObjectReceiver::End(PullNumber pull, const Error& why, bool tell_sender) {
  const UnderWay under_way = pulls_.at(pull);
  pulls_.erase(pull);
  --under_way.connection->pulls;
  under_way.connection->Forget(pull);
  if (tell_sender) under_way.connection->Tell(wire::BulkMessage::PullStop, pull, wire::EmptyNoticeT());
  uint64_t good_bytes = 0;
  if (const auto arriving = arriving_.find(under_way.object); arriving != arriving_.end()) {
    // True where all bytes came and the object could not be sealed.
    const bool whole = arriving->second.good_bytes == arriving->second.sizes.total();
    if (whole || kept_bytes_ + arriving->second.sizes.total() > limits_.kept_bytes_max) {
      Drop(under_way.object);
    } else {
      arriving->second.kept = true;
      kept_bytes_ += arriving->second.sizes.total();
      good_bytes = arriving->second.good_bytes;
    }
  }
  handler_.OnPullEnded(pull, under_way.object, why, good_bytes);
}

void ObjectReceiver::ConnectionGone(Connection& connection, Error why) {
  const NodeId node = connection.node();
  if (why.code != ErrorCode::kDisconnected)
    RAYLET_LOG(kWarning, "the bulk connection to node ", node.hex(), " is closed: ", why.message);
  // The caller would take a store's error for one of this machine's store.
  const Error ended{ErrorCode::kDisconnected, std::move(why.message)};
  std::vector<PullNumber> pulls;
  for (const auto& [pull, under_way] : pulls_)
    if (under_way.connection == &connection) pulls.push_back(pull);
  std::sort(pulls.begin(), pulls.end());
  const auto gone = connections_.extract(node);  // closed at the end; a new pull meanwhile finds it gone
  for (const PullNumber pull : pulls)
    if (pulls_.contains(pull)) End(pull, ended, /*tell_sender=*/false);
  handler_.OnConnectionGone(node, {why.code, ended.message});
}

void ObjectReceiver::WatchForStalls() {
  if (stall_timer_) return;
  stall_timer_ = Timer(loop_, limits_.stall, limits_.stall, [this] { DropStalled(); });
}

void ObjectReceiver::DropStalled() {
  std::vector<NodeId> stalled;
  for (const auto& [node, connection] : connections_)
    if (connection->Stalled()) stalled.push_back(node);
  for (const NodeId& node : stalled)
    Disconnect(node, {ErrorCode::kTimedOut,
                      StrCat("node ", node.hex(), " has sent nothing for ", limits_.stall.count(), " ms, the limit")});
  if (pulls_.empty()) stall_timer_.Cancel();
}

}  // namespace raylet

#include "client/plasma/store_client.h"

#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "client/plasma/store_session.h"

namespace raylet::client {

namespace {

// Objects up to this size travel in the request: a copy through the socket costs less than a second round trip.
constexpr size_t kInlineObjectBytesMax = size_t{16} << 10;
constexpr size_t kIdsPerRequest = 3000;  // 60,000 bytes: the connection sends a message of 64 KiB whole or not at all

std::vector<wire::Id20> ToWire(std::span<const ObjectId> ids) {
  std::vector<wire::Id20> out;
  out.reserve(ids.size());
  for (const ObjectId& id : ids) out.push_back(raylet::ToWire(id));
  return out;
}

std::vector<uint8_t> ToBytes(std::span<const std::byte> bytes) {
  const auto* begin = reinterpret_cast<const uint8_t*>(bytes.data());
  return {begin, begin + bytes.size()};
}

// Calls `send` with at most kIdsPerRequest ids at a time.
template <class Send>
Result<void> InPieces(std::span<const ObjectId> ids, const Send& send) {
  while (!ids.empty()) {
    const auto piece = ids.first(std::min(ids.size(), kIdsPerRequest));
    RAYLET_RETURN_IF_ERROR(send(piece));
    ids = ids.subspan(piece.size());
  }
  return {};
}

ObjectInfo ToInfo(const EntrySnapshot& entry) {
  ObjectInfo info;
  info.id = entry.id;
  info.sealed = entry.state() == EntryState::kSealed;
  info.owned = entry.owned;
  info.creator = entry.creator;
  info.data_bytes = entry.data_bytes;
  info.metadata_bytes = entry.metadata_bytes;
  info.created_ms = entry.created_ms;
  return info;
}

bool Visible(const std::optional<EntrySnapshot>& entry) {
  return entry && (entry->state() == EntryState::kSealed || entry->state() == EntryState::kUnsealed);
}

}  // namespace

StoreClient::StoreClient(std::shared_ptr<StoreSession> session) : session_(std::move(session)) {}
StoreClient::~StoreClient() = default;

Result<std::shared_ptr<StoreClient>> StoreClient::Connect(const std::string& socket, const std::string& name,
                                                          Deadline deadline, bool retry, uint32_t heir,
                                                          Duration patience) {
  auto session = StoreSession::Connect(socket, name, deadline, retry, heir, patience);
  if (!session) return Fail(std::move(session).error());
  return std::shared_ptr<StoreClient>(new StoreClient(*std::move(session)));
}

uint32_t StoreClient::client_number() const { return session_->client(); }
const std::string& StoreClient::socket_path() const { return session_->connection().socket(); }
uint64_t StoreClient::capacity_bytes() const { return session_->capacity_bytes(); }

uint64_t StoreClient::free_bytes() const { return session_->free_bytes(); }

uint64_t StoreClient::started_unix_ms() const { return session_->index().header().started_unix_ms; }
bool StoreClient::Disconnected() const { return session_->connection().PeerGone(); }
void StoreClient::Disconnect() { session_->End(); }
uint64_t StoreClient::bytes_sent() const { return session_->connection().bytes_sent(); }
uint64_t StoreClient::bytes_received() const { return session_->connection().bytes_received(); }

Result<PinnedObject> StoreClient::Get(const ObjectId& id, Deadline deadline) { return Get(id, deadline, {}); }

Result<PinnedObject> StoreClient::Get(const ObjectId& id, Deadline deadline, const std::function<bool()>& alive) {
  auto here = TryGet(id);
  if (!here) return Fail(std::move(here).error());
  if (here->has_value()) [[likely]]
    return **std::move(here);
  PinnedObject view;
  const auto pinned = StoreSession::WaitAndPin(session_, {&id, 1}, {&view, 1}, deadline, alive);
  if (!pinned) return Fail(pinned.error());
  return view;
}

Result<void> StoreClient::GetAll(std::span<const ObjectId> ids, std::span<PinnedObject> views, Deadline deadline) {
  RAYLET_CHECK(ids.size() == views.size(), "a get of ", ids.size(), " ids into ", views.size(), " views");
  RAYLET_RETURN_IF_ERROR(session_->CheckUsable());
  return StoreSession::WaitAndPin(session_, ids, views, deadline, {});
}

Result<std::optional<PinnedObject>> StoreClient::TryGet(const ObjectId& id) {
  if (auto usable = session_->CheckUsable(); !usable) [[unlikely]]
    return Fail(std::move(usable).error());
  return StoreSession::TryPin(session_, id);
}

Result<bool> StoreClient::Contains(const ObjectId& id) const {
  RAYLET_RETURN_IF_ERROR(session_->CheckUsable());
  for (;;) {
    const auto found = session_->index().FindSealed(id);
    if (!found) return false;
    if (session_->index().StillThere(*found)) return true;  // else the fields may have been two objects'
  }
}

Result<std::optional<ObjectInfo>> StoreClient::Describe(const ObjectId& id) const {
  RAYLET_RETURN_IF_ERROR(session_->CheckUsable());
  for (const EntryState state : {EntryState::kUnsealed, EntryState::kSealed}) {  // in the order of an object's life
    const auto found = session_->index().Find(id, state);
    if (!found) continue;
    if (const auto entry = session_->index().Read(found->entry); Visible(entry) && entry->id == id)
      return ToInfo(*entry);
  }
  return std::nullopt;
}

Result<std::vector<ObjectInfo>> StoreClient::List() const {
  RAYLET_RETURN_IF_ERROR(session_->CheckUsable());
  const MappedIndex& index = session_->index();
  std::vector<ObjectInfo> objects;
  for (uint64_t i = 0; i < index.entry_bound(); ++i) {
    if (const auto entry = index.Read(i); Visible(entry)) objects.push_back(ToInfo(*entry));
  }
  return objects;
}

Result<ObjectWriter> StoreClient::Create(const ObjectId& id, uint64_t data_bytes, std::span<const std::byte> metadata,
                                         const CreateOptions& options) {
  return StoreSession::Create(session_, id, data_bytes, metadata, options);
}

Result<void> StoreClient::CreateAndSeal(const ObjectId& id, std::span<const std::byte> data,
                                        std::span<const std::byte> metadata, const CreateOptions& options) {
  if (data.size() + metadata.size() > kInlineObjectBytesMax) {
    auto writer = Create(id, data.size(), metadata, options);
    if (!writer) return Fail(std::move(writer).error());
    if (!data.empty()) std::memcpy(writer->data().data(), data.data(), data.size());
    return std::move(*writer).Seal();
  }
  wire::CreateAndSealRequestT request;
  request.id = std::make_unique<wire::Id20>(raylet::ToWire(id));
  request.data = ToBytes(data);
  request.metadata = ToBytes(metadata);
  request.evict_if_full = options.evict_if_full;
  request.owned = options.owned;
  request.owner = options.owner;
  request.timeout_ms = options.timeout_ms;
  auto created =
      session_->connection().Ask(wire::StoreMessage::CreateAndSeal, request, session_->CreatePatience(options));
  // It waits for room no longer.
  if (!created && StoreSession::NotAnswered(created.error())) session_->AbandonCreate(id);
  return created;
}

Result<void> StoreClient::Seal(const ObjectId& id) { return session_->Seal(id); }
Result<void> StoreClient::SealAsync(const ObjectId& id) { return session_->SealAsync(id); }
Result<void> StoreClient::Abort(const ObjectId& id) { return session_->Abort(id); }

Result<std::vector<ErrorCode>> StoreClient::Delete(std::span<const ObjectId> ids) {
  std::vector<ErrorCode> codes;
  codes.reserve(ids.size());
  RAYLET_RETURN_IF_ERROR(InPieces(ids, [&](std::span<const ObjectId> piece) -> Result<void> {
    wire::IdsRequestT request;
    request.ids = ToWire(piece);
    const auto reply = session_->connection().Call<wire::DeleteReplyT>(
        wire::StoreMessage::Delete, request, wire::StoreMessage::DeleteReply, session_->connection().patience());
    if (!reply) return Fail(reply.error());
    if (reply->codes.size() != piece.size())
      return Fail(ErrorCode::kProtocolError, StrCat("the store at ", socket_path(), " answered for ",
                                                    reply->codes.size(), " of ", piece.size(), " objects"));
    for (const uint16_t code : reply->codes) codes.push_back(static_cast<ErrorCode>(code));
    return {};
  }));
  return codes;
}

Result<void> StoreClient::DeleteAsync(std::span<const ObjectId> ids) {
  return InPieces(ids, [&](std::span<const ObjectId> piece) {
    wire::IdsRequestT request;
    request.ids = ToWire(piece);
    return session_->connection().Tell(wire::StoreMessage::Delete, request);
  });
}

Result<uint64_t> StoreClient::Evict(uint64_t bytes) {
  wire::EvictRequestT request;
  request.bytes = bytes;
  const auto reply = session_->connection().Call<wire::EvictReplyT>(
      wire::StoreMessage::Evict, request, wire::StoreMessage::EvictReply, session_->connection().patience());
  if (!reply) return Fail(reply.error());
  if (const auto status = FromStatus(*reply->status); !status) return Fail(status.error());
  return reply->evicted_bytes;
}

Result<void> StoreClient::SetOwner(std::span<const ObjectId> ids, uint32_t owner) {
  return InPieces(ids, [&](std::span<const ObjectId> piece) {
    wire::SetOwnerRequestT request;
    request.ids = ToWire(piece);
    request.owner = owner;
    return session_->connection().Ask(wire::StoreMessage::SetOwner, request, session_->connection().patience());
  });
}

Result<void> StoreClient::Touch(std::span<const ObjectId> ids) {
  RAYLET_RETURN_IF_ERROR(session_->CheckUsable());
  for (const ObjectId& id : ids) {
    if (const auto found = session_->index().FindSealed(id)) session_->pins().Touch(found->entry);
  }
  return {};
}

}  // namespace raylet::client

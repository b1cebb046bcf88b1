#include "client/plasma/store_client.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "client/plasma/store_session.h"
#include "fbs/id_lists.h"

namespace raylet::client {

namespace {

// Objects up to this size travel in the request: a copy through the socket costs less than a second round trip.
constexpr size_t kInlineObjectBytesMax = size_t{16} << 10;

std::vector<uint8_t> ToBytes(std::span<const std::byte> bytes) {
  const auto* begin = reinterpret_cast<const uint8_t*>(bytes.data());
  return {begin, begin + bytes.size()};
}

// Calls `send` with at most kObjectsPerMessage ids at a time.
template <class Send>
Result<void> InPieces(std::span<const ObjectId> ids, const Send& send) {
  while (!ids.empty()) {
    const auto piece = ids.first(std::min(ids.size(), kObjectsPerMessage));
    RAYLET_RETURN_IF_ERROR(send(piece));
    ids = ids.subspan(piece.size());
  }
  return {};
}

// Objects with so many bytes in all travel in one message; more of them are created one by one.
constexpr size_t kBatchBytesMax = size_t{256} << 10;
constexpr size_t kBatchObjectsMax = 1024;

bool FitsOneMessage(std::span<const BatchObject> objects) {
  size_t bytes = 0;
  for (const BatchObject& object : objects) {
    bytes += object.data.size() + object.metadata.size();
    if (bytes > kBatchBytesMax) return false;
  }
  return objects.size() <= kBatchObjectsMax;
}

ObjectInfo ToInfo(const EntrySnapshot& entry) {
  ObjectInfo info;
  info.id = entry.id;
  info.entry = entry.entry;
  info.spilled = entry.state() == EntryState::kSpilled;
  info.sealed = info.spilled || entry.state() == EntryState::kSealed;
  info.owned = entry.owned;
  info.deleted = entry.deleted;
  info.creator = entry.creator;
  info.data_bytes = entry.data_bytes;
  info.metadata_bytes = entry.metadata_bytes;
  info.created_ms = entry.created_ms;
  info.constructed_s = entry.constructed_s;
  return info;
}

bool Visible(const std::optional<EntrySnapshot>& entry) {
  return entry && (entry->state() == EntryState::kSealed || entry->state() == EntryState::kUnsealed ||
                   (entry->state() == EntryState::kSpilled && entry->offset != kLostWord));
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
bool StoreClient::Disconnected() const {
  StoreConnection& connection = session_->connection();
  if (!connection.PeerGone()) return false;
  const auto restored = connection.Restore(Deadline::AfterMs(0));
  return !restored && restored.error().code != ErrorCode::kTimedOut;
}
Result<void> StoreClient::CheckUsable() const { return session_->CheckUsable(); }
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

Result<std::optional<PinnedObject>> StoreClient::TryGet(const ObjectId& id, bool* on_disk) {
  if (auto usable = session_->CheckUsable(); !usable) [[unlikely]]
    return Fail(std::move(usable).error());
  return StoreSession::TryPin(session_, id, on_disk);
}

Result<std::optional<PinnedObject>> StoreClient::GetHere(const ObjectId& id, Deadline deadline) {
  for (;;) {
    bool on_disk = false;
    auto here = TryGet(id, &on_disk);
    if (!here || here->has_value() || !on_disk) return here;
    const auto restored = session_->Restore({id}, deadline);
    if (!restored && (deadline.Passed() || !StoreSession::NotAnswered(restored.error()))) return Fail(restored.error());
  }
}

Result<bool> StoreClient::Contains(const ObjectId& id) const {
  RAYLET_RETURN_IF_ERROR(session_->CheckUsable());
  bool rechecked = false;
  for (;;) {
    const auto found = session_->FindRechecked(id, rechecked);
    if (!found) return false;
    if (session_->index().StillThere(*found))
      return found->offset != kLostWord;  // else the fields may have been two objects'
  }
}

bool StoreClient::IsLost(const ObjectId& id) const {
  const auto found = session_->index().Find(id, EntryState::kSpilled);
  return found && found->offset == kLostWord && session_->index().StillThere(*found);
}

Result<std::optional<ObjectInfo>> StoreClient::Describe(const ObjectId& id) const {
  RAYLET_RETURN_IF_ERROR(session_->CheckUsable());
  bool rechecked = false;
  static_cast<void>(session_->FindRechecked(id, rechecked));
  for (const EntryState state :
       {EntryState::kUnsealed, EntryState::kSealed, EntryState::kSpilled, EntryState::kSealed}) {
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
  bool rechecked = false;
  for (uint64_t i = 0; i < index.entry_bound(); ++i) {
    auto entry = index.Read(i);
    if (entry && entry->deleted && entry->state() != EntryState::kUnsealed && !rechecked) {
      static_cast<void>(session_->FindRechecked(entry->id, rechecked));  // all that were deleted, with it
      entry = index.Read(i);
    }
    if (Visible(entry)) objects.push_back(ToInfo(*entry));
  }
  return objects;
}

Result<std::vector<ObjectInfo>> StoreClient::ListWithUses() const {
  RAYLET_RETURN_IF_ERROR(session_->CheckUsable());
  std::unordered_map<uint64_t, uint32_t> clients_by_entry;
  StoreConnection& connection = session_->connection();
  wire::ListUsesRequestT request;
  do {
    const auto reply = connection.Call<wire::ListUsesReplyT>(wire::StoreMessage::ListUses, request,
                                                             wire::StoreMessage::ListUsesReply, connection.patience());
    if (!reply) return Fail(reply.error());
    for (const wire::EntryUse& use : reply->uses) clients_by_entry[use.entry()] = use.clients();
    if (reply->next_entry != 0 && reply->next_entry <= request.first_entry)
      return Fail(ErrorCode::kProtocolError, StrCat("the store at ", socket_path(), " lists the same uses again"));
    request.first_entry = reply->next_entry;
  } while (request.first_entry != 0);
  auto objects = List();
  if (!objects) return objects;
  for (ObjectInfo& object : *objects)
    if (const auto use = clients_by_entry.find(object.entry); use != clients_by_entry.end())
      object.clients = use->second;
  return objects;
}

Result<bool> StoreClient::Pins(const ObjectId& id) const {
  RAYLET_RETURN_IF_ERROR(session_->CheckUsable());
  const auto found = session_->index().FindSealed(id);
  if (!found) return false;
  const PinPage& page = session_->pins().page();
  const uint32_t used = std::min(page.slots_high_water.load(std::memory_order_acquire), kPinSlots);
  for (uint32_t slot = 0; slot < used; ++slot)
    if (page.slots[slot].load(std::memory_order_relaxed) == found->entry + 1) return true;
  return false;
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
  const uint64_t restored = session_->connection().restored();
  if (options.timeout_ms == 0) {
    RAYLET_RETURN_IF_ERROR(session_->CheckUsable());
    if (auto put = session_->leased_writer().TryPut({id, data, metadata}, options, session_->CreatePatience(options)))
      return *std::move(put);
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
  // A server that died had sealed it.
  if (!created && created.error().code == ErrorCode::kAlreadyExists && session_->connection().restored() != restored &&
      IsThere({id, data, metadata}))
    return {};
  // It waits for room no longer.
  if (!created && StoreSession::NotAnswered(created.error())) session_->AbandonCreate(id);
  return created;
}

bool StoreClient::IsThere(const BatchObject& object) {
  const auto view = GetHere(object.id, Deadline::After(session_->connection().patience()));
  if (!view || !view->has_value()) return false;
  return std::ranges::equal((*view)->data(), object.data) && std::ranges::equal((*view)->metadata(), object.metadata);
}

Result<void> StoreClient::CreateAndSealAsync(const ObjectId& id, std::span<const std::byte> data,
                                             std::span<const std::byte> metadata, const CreateOptions& options) {
  RAYLET_RETURN_IF_ERROR(session_->CheckUsable());
  if (options.timeout_ms == 0) {
    if (auto put =
            session_->leased_writer().TryPutAsync({id, data, metadata}, options, session_->CreatePatience(options)))
      return *std::move(put);
  }
  return CreateAndSeal(id, data, metadata, options);
}

Result<void> StoreClient::AwaitPuts(Deadline deadline) {
  RAYLET_RETURN_IF_ERROR(session_->CheckUsable());
  return session_->leased_writer().AwaitPuts(deadline.Left(Duration::max()));
}

Result<void> StoreClient::CreateAndSealBatch(std::span<const BatchObject> objects, const CreateOptions& options) {
  RAYLET_RETURN_IF_ERROR(session_->CheckUsable());
  const uint64_t restored = session_->connection().restored();
  if (auto put = session_->leased_writer().TryPutAll(objects, options, session_->CreatePatience(options)))
    return *std::move(put);
  if (FitsOneMessage(objects)) {
    wire::CreateAndSealBatchRequestT request;
    request.evict_if_full = options.evict_if_full;
    for (const BatchObject& object : objects) {
      request.ids.push_back(raylet::ToWire(object.id));
      request.data_bytes.push_back(static_cast<uint32_t>(object.data.size()));
      request.metadata_bytes.push_back(static_cast<uint32_t>(object.metadata.size()));
      for (const auto part : {object.data, object.metadata}) {
        const auto* const begin = reinterpret_cast<const uint8_t*>(part.data());
        request.bytes.insert(request.bytes.end(), begin, begin + part.size());
      }
    }
    const auto created =
        session_->connection().Ask(wire::StoreMessage::CreateAndSealBatch, request, session_->CreatePatience(options));
    if (created || created.error().code != ErrorCode::kAlreadyExists || session_->connection().restored() == restored)
      return created;
    // A server that died had sealed some of them.
    for (const BatchObject& object : objects) {
      if (IsThere(object)) continue;
      RAYLET_RETURN_IF_ERROR(CreateAndSeal(object.id, object.data, object.metadata, options));
    }
    return {};
  }
  std::vector<ObjectWriter> writers;  // those that are left abort their objects
  writers.reserve(objects.size());
  for (const BatchObject& object : objects) {
    auto writer = Create(object.id, object.data.size(), object.metadata, options);
    if (!writer) return Fail(std::move(writer).error());
    if (!object.data.empty()) std::memcpy(writer->data().data(), object.data.data(), object.data.size());
    writers.push_back(*std::move(writer));
  }
  for (ObjectWriter& writer : writers) RAYLET_RETURN_IF_ERROR(std::move(writer).Seal());
  return {};
}

Result<void> StoreClient::SetOptions(const std::string& name, uint64_t quota_bytes) {
  wire::SetOptionsRequestT request;
  request.name = name;
  request.quota_bytes = quota_bytes;
  return session_->connection().Ask(wire::StoreMessage::SetOptions, request, session_->connection().patience());
}

Result<std::string> StoreClient::DebugText() {
  auto reply = session_->connection().Call<wire::DebugTextReplyT>(
      wire::StoreMessage::DebugText, wire::DebugTextRequestT(), wire::StoreMessage::DebugTextReply,
      session_->connection().patience());
  if (!reply) return Fail(std::move(reply).error());
  return std::move(reply->text);
}

Result<UniqueFd> StoreClient::Subscribe() {
  StoreConnection& connection = session_->connection();
  std::vector<UniqueFd> sockets;
  const auto reply = connection.CallForDescriptors<wire::SubscribeReplyT>(
      wire::StoreMessage::Subscribe, wire::SubscribeRequestT(), wire::StoreMessage::SubscribeReply,
      connection.patience(), &sockets);
  if (!reply) return Fail(reply.error());
  RAYLET_RETURN_IF_ERROR(FromStatus(*reply->status));
  if (sockets.empty())
    return Fail(ErrorCode::kProtocolError, StrCat("the store at ", socket_path(), " sent no socket to subscribe to"));
  return std::move(sockets.front());
}

Result<void> StoreClient::Seal(const ObjectId& id) { return session_->Seal(id); }
Result<void> StoreClient::SealAsync(const ObjectId& id) { return session_->SealAsync(id); }
Result<void> StoreClient::Abort(const ObjectId& id) { return session_->Abort(id); }

Result<std::vector<ErrorCode>> StoreClient::Delete(std::span<const ObjectId> ids) {
  return DeleteBy(DeleteVerb::kNow, ids);
}

Result<std::vector<ErrorCode>> StoreClient::DeleteAtLastRelease(std::span<const ObjectId> ids) {
  return DeleteBy(DeleteVerb::kAtLastRelease, ids);
}

Result<std::vector<ErrorCode>> StoreClient::DeleteBy(DeleteVerb verb, std::span<const ObjectId> ids) {
  const auto type = verb == DeleteVerb::kNow ? wire::StoreMessage::Delete : wire::StoreMessage::DeleteAtLastRelease;
  std::vector<ErrorCode> codes;
  codes.reserve(ids.size());
  RAYLET_RETURN_IF_ERROR(InPieces(ids, [&](std::span<const ObjectId> piece) -> Result<void> {
    wire::IdsRequestT request;
    request.ids = ToWire(piece);
    const auto reply = session_->connection().Call<wire::DeleteReplyT>(type, request, wire::StoreMessage::DeleteReply,
                                                                       session_->connection().patience());
    if (!reply) return Fail(reply.error());
    if (reply->codes.size() != piece.size())
      return Fail(ErrorCode::kProtocolError, StrCat("the store at ", socket_path(), " answered for ",
                                                    reply->codes.size(), " of ", piece.size(), " objects"));
    for (const uint16_t code : reply->codes) codes.push_back(static_cast<ErrorCode>(code));
    return {};
  }));
  return codes;
}

Result<void> StoreClient::DeleteAsync(std::span<const ObjectId> ids, Deadline deadline) {
  wire::IdsRequestT request;
  request.ids = ToWire(ids);
  return session_->connection().Tell(wire::StoreMessage::Delete, request, deadline);
}

Result<bool> StoreClient::Flush() { return session_->connection().Flush(); }

Result<void> StoreClient::DeleteAsync(std::span<const ObjectId> ids) {
  return InPieces(ids, [&](std::span<const ObjectId> piece) {
    return DeleteAsync(piece, Deadline::After(session_->connection().patience()));
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

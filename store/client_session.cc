#include "store/client_session.h"

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "store/store_server.h"

namespace raylet::store {

namespace {
constexpr size_t kWatchedIdsMax = 65536;

FramedSocketLimits Limits() {
  FramedSocketLimits limits;
  limits.body_bytes_max = kStoreBodyBytesMax;
  return limits;
}
}  // namespace

ClientSession::ClientSession(StoreServer& server, uint64_t number, UniqueFd fd, PeerCredentials peer)
    : server_(server), number_(number), peer_(peer), socket_(server.loop(), std::move(fd), Limits(), *this) {}

void ClientSession::OnFrame(const Frame& frame, std::vector<UniqueFd>& fds) {
  fds.clear();  // no request brings descriptors
  if (auto handled = Handle(frame); !handled) socket_.Close(handled.error());
}

void ClientSession::OnClosed(const Error& reason) {
  if (reason.code != ErrorCode::kDisconnected)
    RAYLET_LOG(kWarning, "client ", client_, " (pid ", peer_.pid, "): ", ErrorCodeName(reason.code), ": ", reason.message);
  server_.Remove(number_);  // destroys this
}

void ClientSession::ReplyStatus(uint64_t request_id, const Result<void>& outcome) {
  if (request_id != 0)
    socket_.Send(static_cast<uint16_t>(wire::StoreMessage::StatusReply), request_id, EncodeStatusReply(outcome));
}

Result<void> ClientSession::Handle(const Frame& frame) {
  const auto type = static_cast<wire::StoreMessage>(frame.header.type);
  const uint64_t request_id = frame.header.request_id;
  if (type == wire::StoreMessage::Hello) return HandleHello(frame);
  if (client_ == 0) return Fail(ErrorCode::kProtocolError, "a request before Hello");
  ObjectStore& store = server_.store();
  switch (type) {
    case wire::StoreMessage::Create: {
      const auto request = Parse<wire::CreateRequestT>(frame.body);
      if (!request) return Fail(request.error());
      BlockedCreate create;
      create.request_id = request_id;
      create.id = FromWire<ObjectId>(*request->id);
      create.options = {request->data_bytes, request->metadata_bytes, request->evict_if_full, request->owned,
                        request->owner};
      return HandleCreate(std::move(create), request->timeout_ms);
    }
    case wire::StoreMessage::CreateAndSeal: {
      auto request = Parse<wire::CreateAndSealRequestT>(frame.body);
      if (!request) return Fail(request.error());
      BlockedCreate create;
      create.request_id = request_id;
      create.id = FromWire<ObjectId>(*request->id);
      create.options = {request->data.size(), request->metadata.size(), request->evict_if_full, request->owned,
                        request->owner};
      const int64_t timeout_ms = request->timeout_ms;
      create.content = std::move(*request);
      return HandleCreate(std::move(create), timeout_ms);
    }
    case wire::StoreMessage::Seal:
    case wire::StoreMessage::Abort: {
      const auto request = Parse<wire::IdRequestT>(frame.body);
      if (!request) return Fail(request.error());
      const auto id = FromWire<ObjectId>(*request->id);
      ReplyStatus(request_id, type == wire::StoreMessage::Seal ? store.Seal(client_, id) : store.Abort(client_, id));
      if (type == wire::StoreMessage::Abort) server_.RoomMayBeFree();
      return {};
    }
    case wire::StoreMessage::Delete: {
      const auto request = Parse<wire::IdsRequestT>(frame.body);
      if (!request) return Fail(request.error());
      wire::DeleteReplyT reply;
      for (const wire::Id20& id : request->ids) {
        const auto outcome = store.Delete(FromWire<ObjectId>(id));
        reply.codes.push_back(outcome ? uint16_t{0} : static_cast<uint16_t>(outcome.error().code));
      }
      Reply(wire::StoreMessage::DeleteReply, request_id, reply);
      server_.RoomMayBeFree();
      return {};
    }
    case wire::StoreMessage::Evict: {
      const auto request = Parse<wire::EvictRequestT>(frame.body);
      if (!request) return Fail(request.error());
      wire::EvictReplyT reply;
      reply.status = OkStatus();
      reply.evicted_bytes = store.Evict(request->bytes);
      Reply(wire::StoreMessage::EvictReply, request_id, reply);
      server_.RoomMayBeFree();
      return {};
    }
    case wire::StoreMessage::Watch: {
      const auto request = Parse<wire::IdsRequestT>(frame.body);
      if (!request) return Fail(request.error());
      if (watched_.size() + request->ids.size() > kWatchedIdsMax)
        return Fail(ErrorCode::kFull, StrCat("client ", client_, " watches more than ", kWatchedIdsMax, " objects"));
      for (const wire::Id20& wire_id : request->ids) {
        const auto id = FromWire<ObjectId>(wire_id);
        watched_.insert(id);
        if (store.IsSealed(id)) NoticeSealed(id);
      }
      return {};
    }
    case wire::StoreMessage::SetOwner: {
      const auto request = Parse<wire::SetOwnerRequestT>(frame.body);
      if (!request) return Fail(request.error());
      for (const wire::Id20& id : request->ids) store.SetOwner(FromWire<ObjectId>(id), request->owner);
      ReplyStatus(request_id, {});
      return {};
    }
    default: return Fail(ErrorCode::kProtocolError, StrCat("no request has type ", frame.header.type));
  }
}

Result<void> ClientSession::HandleHello(const Frame& frame) {
  const auto hello = Parse<wire::StoreHelloT>(frame.body);
  if (!hello) return Fail(hello.error());
  if (hello->magic != kStoreMagic || client_ != 0)
    return Fail(ErrorCode::kProtocolError, "Hello with another magic, or a second one");
  wire::StoreHelloReplyT reply;
  const auto refuse = [&](Error error) -> Result<void> {
    reply.status = ToStatus(error);
    Reply(wire::StoreMessage::HelloReply, frame.header.request_id, reply);
    return Fail(std::move(error));
  };
  if (hello->version_min > kStoreProtocolMax || hello->version_max < kStoreProtocolMin)
    return refuse({ErrorCode::kVersionMismatch,
                   StrCat("VersionMismatch: the client (", hello->build, ") speaks store protocol ", hello->version_min,
                          " to ", hello->version_max, ", this plasma_store (", kBuild, ") speaks ", kStoreProtocolMin,
                          " to ", kStoreProtocolMax)});
  ObjectStore& store = server_.store();
  const uint32_t number = store.next_client();
  auto pins_fd = CreateMemfd(PinPageName(number), PinPageBytes(), false);
  if (!pins_fd) return refuse(pins_fd.error());
  auto pins = Mapping::Map(pins_fd->get(), PinPageBytes(), Mapping::Access::kReadWrite);
  if (!pins) return refuse(pins.error());
  auto* page = pins->As<PinPage>();  // zero from the kernel, which is what its atomics start with
  page->magic = kPinsMagic;
  page->layout_version = kLayoutVersion;
  page->client = number;
  const auto client = store.AddClient(peer_.pid, hello->name, page);
  if (!client) return refuse(client.error());
  client_ = *client;
  pins_fd_ = std::move(*pins_fd);
  pins_ = std::move(*pins);
  reply.status = OkStatus();
  reply.version = std::min(kStoreProtocolMax, hello->version_max);
  reply.client = client_;
  reply.arena_bytes = server_.arena().size();
  reply.index_bytes = server_.index()->segment_bytes;
  reply.pins_bytes = PinPageBytes();
  reply.capacity_bytes = server_.index()->capacity_bytes;
  const int fds[] = {server_.arena().read_only_fd(), server_.arena().fd(), server_.index_read_only_fd(), pins_fd_.get()};
  socket_.Send(static_cast<uint16_t>(wire::StoreMessage::HelloReply), frame.header.request_id, Encode(reply), fds);
  return {};
}

Result<void> ClientSession::HandleCreate(BlockedCreate create, int64_t timeout_ms) {
  create.session = number_;
  create.deadline = Deadline::AfterMs(timeout_ms);
  // Creates are served in order: one that waits already goes first.
  const bool may_wait = timeout_ms != 0 && server_.CanBlockCreate();
  if (may_wait && server_.HasBlockedCreates()) {
    server_.BlockCreate(std::move(create));
    return {};
  }
  if (!TryCreate(create, !may_wait)) server_.BlockCreate(std::move(create));
  return {};
}

bool ClientSession::TryCreate(const BlockedCreate& create, bool last_try) {
  FullNumbers full;
  ObjectStore& store = server_.store();
  auto offset = store.Create(client_, create.id, create.options, full);
  if (!offset && offset.error().code == ErrorCode::kFull && !last_try) return false;
  auto status = offset ? OkStatus() : ToStatus(offset.error());
  status->need_bytes = full.need_bytes;
  status->free_bytes = full.free_bytes;
  status->largest_run_bytes = full.largest_run_bytes;
  status->pinned_bytes = full.pinned_bytes;
  if (!offset) server_.CountFullFailure(offset.error().code);
  if (!create.content) {
    wire::CreateReplyT reply;
    reply.status = std::move(status);
    reply.offset = offset ? *offset : 0;
    Reply(wire::StoreMessage::CreateReply, create.request_id, reply);
    return true;
  }
  if (offset) {
    std::byte* to = server_.arena().data() + *offset;
    const auto& [data, metadata] = std::tie(create.content->data, create.content->metadata);
    if (!data.empty()) std::memcpy(to, data.data(), data.size());
    if (!metadata.empty()) std::memcpy(to + AlignUp(data.size()), metadata.data(), metadata.size());
    if (auto sealed = store.Seal(client_, create.id); !sealed) status = ToStatus(sealed.error());
  }
  wire::StatusReplyT reply;
  reply.status = std::move(status);
  Reply(wire::StoreMessage::StatusReply, create.request_id, reply);
  return true;
}

void ClientSession::NoticeSealed(const ObjectId& id) {
  if (watched_.erase(id) == 0) return;
  wire::SealedNoticeT notice;
  notice.id = std::make_unique<wire::Id20>(ToWire(id));
  socket_.Send(static_cast<uint16_t>(wire::StoreMessage::Sealed), 0, Encode(notice));
}

}  // namespace raylet::store

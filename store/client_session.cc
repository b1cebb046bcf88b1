#include "store/client_session.h"

#include <fcntl.h>

#include <algorithm>
#include <random>
#include <utility>

#include "base/log.h"
#include "base/unix_socket.h"
#include "fbs/id_lists.h"
#include "store/create_requests.h"
#include "store/recovery.h"
#include "store/store_server.h"
#include "store/use_counts.h"

namespace raylet::store {
namespace {

constexpr std::chrono::seconds kHelloPatience{5};
constexpr FramedSocketLimits kLimits = {.body_bytes_max = kStoreBodyBytesMax,
                                        .queued_bytes_max = size_t{16} << 20,
                                        .received_fds_max = 0,
                                        .behind_bytes = size_t{1} << 20,
                                        .caught_up_bytes = size_t{256} << 10};

}  // namespace

ClientSession::ClientSession(StoreServer& server, uint64_t key, UniqueFd fd)
    : server_(server), key_(key), socket_(server.loop(), std::move(fd), kLimits, *this) {
  hello_timer_ = Timer(server.loop(), kHelloPatience, {}, [this] {
    Refuse({ErrorCode::kTimedOut, StrCat("this connection did not say hello within ", kHelloPatience.count(), " s")});
  });
}

void ClientSession::Refuse(const Error& why) {
  AnswerRefused(/*request_id=*/0, why);
  socket_.Close(why);
}

void ClientSession::ReplyStatus(uint64_t request_id, const Result<void>& outcome) {
  if (request_id == 0) {
    if (!outcome) RAYLET_LOG(kInfo, "client ", client_, ": ", outcome.error().message);
    return;
  }
  socket_.Send(static_cast<uint16_t>(wire::StoreMessage::StatusReply), request_id, EncodeStatusReply(outcome));
}

void ClientSession::NoticeSealed(const ObjectId& id) {
  if (watched_.erase(id) == 0) return;
  server_.UnwatchFor(id, key_);
  wire::SealedNoticeT notice;
  notice.id = std::make_unique<wire::Id20>(ToWire(id));
  Send(wire::StoreMessage::Sealed, 0, notice);
}

void ClientSession::Inherit(uint32_t ended, std::vector<ObjectId> objects) {
  if (!inherited_.Add(ended, std::move(objects))) {
    return socket_.Close(
        {ErrorCode::kSlowConsumer, StrCat("it does not read what it inherits: it would have to hear of more than ",
                                          kInheritedWaitingMax, " objects and ended clients")});
  }
  SendInherited();
}

// A million objects make more notices than the socket may queue, so they go in pieces.
void ClientSession::SendInherited() {
  while (!inherited_.Empty() && !behind_ && !socket_.closed())
    Send(wire::StoreMessage::Inherited, 0, inherited_.TakeNext());
}

void ClientSession::OnBehind(bool behind) {
  behind_ = behind;
  if (behind || inherited_.Empty()) return;
  server_.loop().AtEndOfTurn([this, life = std::weak_ptr<int>(life_)] {
    if (!life.expired()) SendInherited();
  });
}

void ClientSession::OnFrame(const Frame& frame, std::vector<UniqueFd>&) {
  // What the client posted before it sent this.
  if (has_ring_) {
    server_.put_rings().Heard(client_, frames_);
    if (server_.put_rings().Waits(client_)) {
      return held_.Keep(frame);
    }
  }
  CarryOut(frame);
}

void ClientSession::HoldFrames(bool hold, TimePoint until) {
  if (hold) return held_.Begin(socket_, until);
  // Not from inside the ring, which still carries out.
  server_.loop().AtEndOfTurn([this, life = std::weak_ptr<int>(life_)] {
    if (life.expired() || server_.put_rings().Waits(client_)) return;
    if (const auto frame = held_.End(socket_)) CarryOut(*frame);
  });
}

void ClientSession::CarryOut(const Frame& frame) {
  const bool greeted = client_ != 0;
  auto outcome = Handle(frame);
  if (staged_seal_) return;  // its end answers
  Carried(greeted, static_cast<wire::StoreMessage>(frame.header.type) == wire::StoreMessage::Hello,
          frame.header.request_id, std::move(outcome));
}

// The rest of a frame's handling.
void ClientSession::Carried(bool greeted, bool is_hello, uint64_t request_id, Result<void> outcome) {
  // Release, with the acquire in the client: what it says was done has been done, also if this daemon dies now.
  if (client_ != 0 && !is_hello) pins_.As<PinPage>()->frames_handled.fetch_add(1, std::memory_order_release);
  IndexCounters& counters = server_.counters();
  counters.bytes_received.fetch_add(socket_.bytes_received() - counted_received_, std::memory_order_relaxed);
  counters.bytes_sent.fetch_add(socket_.bytes_sent() - counted_sent_, std::memory_order_relaxed);
  counted_received_ = socket_.bytes_received();
  counted_sent_ = socket_.bytes_sent();
  if (!outcome) {
    if (outcome.error().code == ErrorCode::kProtocolError) ReplyStatus(request_id, outcome);
    socket_.Close(std::move(outcome).error());
  }
  server_.AfterRequest();
  if (greeted) ++frames_;
  if (has_ring_) server_.put_rings().Heard(client_, frames_);
}

void ClientSession::OnClosed(const Error& reason) {
  if (reason.code != ErrorCode::kDisconnected) RAYLET_LOG(kWarning, "client ", client_, " is closed: ", reason.message);
  server_.Remove(key_);  // destroys this
}

Result<void> ClientSession::Handle(const Frame& frame) {
  const auto type = static_cast<wire::StoreMessage>(frame.header.type);
  if (client_ == 0 && type == wire::StoreMessage::TakeOver) return HandleTakeOver(frame);
  if ((client_ == 0) != (type == wire::StoreMessage::Hello))
    return Fail(ErrorCode::kProtocolError, "the first message, and no other, is a Hello");
  switch (type) {
    case wire::StoreMessage::Hello: return HandleHello(frame);
    case wire::StoreMessage::Create: return Create(ParseCreate(frame, client_, server_.Now()));
    case wire::StoreMessage::CreateAndSeal: return Create(ParseCreateAndSeal(frame, client_, server_.Now()));
    case wire::StoreMessage::Seal:
    case wire::StoreMessage::Abort: {
      const auto request = Parse<wire::IdRequestT>(frame.body);
      if (!request) return Fail(request.error());
      const auto id = FromWire<ObjectId>(*request->id);
      if (type == wire::StoreMessage::Seal && BeginSeal(id, frame.header.request_id)) return {};
      ReplyStatus(frame.header.request_id, type == wire::StoreMessage::Seal ? Seal(id) : server_.Abort(client_, id));
      return {};
    }
    case wire::StoreMessage::CreateAndSealBatch: return Create(ParseCreateAndSealBatch(frame, client_, server_.Now()));
    case wire::StoreMessage::Subscribe: return HandleSubscribe(frame);
    case wire::StoreMessage::OpenPutRing: return HandleOpenPutRing(frame);
    case wire::StoreMessage::Restore: return HandleRestore(frame);
    case wire::StoreMessage::ListUses: return HandleListUses(frame);
    case wire::StoreMessage::SetOptions: {
      const auto request = Parse<wire::SetOptionsRequestT>(frame.body);
      if (!request) return Fail(request.error());
      ReplyStatus(frame.header.request_id, server_.store().SetOptions(client_, request->name, request->quota_bytes));
      return {};
    }
    case wire::StoreMessage::DebugText: return HandleDebugText(frame);
    case wire::StoreMessage::Delete: return HandleDelete(frame, /*at_last_release=*/false);
    case wire::StoreMessage::DeleteAtLastRelease: return HandleDelete(frame, /*at_last_release=*/true);
    case wire::StoreMessage::Recheck: {
      const auto request = Parse<wire::IdRequestT>(frame.body);
      if (!request) return Fail(request.error());
      server_.store().Recheck(FromWire<ObjectId>(*request->id));
      ReplyStatus(frame.header.request_id, {});
      return {};
    }
    case wire::StoreMessage::Evict: return HandleEvict(frame);
    case wire::StoreMessage::Watch: return HandleWatch(frame);
    case wire::StoreMessage::Unwatch: return HandleUnwatch(frame);
    case wire::StoreMessage::DeleteMadeBy: {
      const auto request = Parse<wire::DeleteMadeByRequestT>(frame.body);
      if (!request) return Fail(request.error());
      ReplyStatus(frame.header.request_id, server_.store().DeleteMadeBy(request->client, FromWire(request->ids)));
      return {};
    }
    case wire::StoreMessage::SetOwner: {
      const auto request = Parse<wire::SetOwnerRequestT>(frame.body);
      if (!request) return Fail(request.error());
      ReplyStatus(frame.header.request_id, server_.store().SetOwner(client_, FromWire(request->ids), request->owner));
      return {};
    }
    default: break;
  }
  return Fail(ErrorCode::kProtocolError, StrCat("a client may not send messages of type ", frame.header.type));
}

void ClientSession::AnswerRefused(uint64_t request_id, const Error& why) {
  wire::StoreHelloReplyT reply;
  reply.status = MakeWireStatus(why);
  Send(wire::StoreMessage::HelloReply, request_id, reply);
}

Result<void> ClientSession::HandleHello(const Frame& frame) {
  const auto hello = Parse<wire::StoreHelloT>(frame.body);
  if (!hello) return Fail(hello.error());
  if (hello->magic != kStoreMagic) return Fail(ErrorCode::kProtocolError, "a Hello with another magic");
  if (hello->version_min > kStoreProtocolMax || hello->version_max < kStoreProtocolMin) {
    const Error why{
        ErrorCode::kVersionMismatch,
        StrCat("VersionMismatch: the client speaks store protocol ", hello->version_min, " to ", hello->version_max,
               ", this plasma_store ", kStoreProtocolMin, " to ", kStoreProtocolMax, "; use programs of one release")};
    AnswerRefused(frame.header.request_id, why);
    return Fail(why);
  }
  if (const auto room =
          hello->again != 0 ? Result<void>() : server_.memory().RoomFor(kIdleClientBytes, "one more client");
      !room) {
    RAYLET_LOG(kError, "refused a client: ", room.error().message);
    AnswerRefused(frame.header.request_id, room.error());
    return Fail(room.error());
  }
  if (const auto met = hello->again == 0 ? MeetNewClient(*hello) : MeetAgain(*hello); !met) {
    AnswerRefused(frame.header.request_id, met.error());
    return Fail(met.error());
  }
  hello_timer_.Cancel();
  server_.Named(*this);

  wire::StoreHelloReplyT reply;
  reply.status = OkStatus();
  reply.version = std::min(hello->version_max, kStoreProtocolMax);
  reply.client = client_;
  reply.arena_bytes = server_.segments().arena_bytes;
  reply.index_bytes = server_.segments().index_bytes;
  reply.pins_bytes = PinPageBytes();
  reply.capacity_bytes = server_.segments().capacity_bytes;
  const bool strict = server_.segments().strict();
  reply.writing_offset = strict ? StagingOffset() : 0;
  const int fds[] = {server_.segments().arena_read_only, strict ? pins_fd_.get() : server_.segments().arena_read_write,
                     server_.segments().index_read_only, pins_fd_.get()};
  socket_.Send(static_cast<uint16_t>(wire::StoreMessage::HelloReply), frame.header.request_id, Encode(reply), fds);
  if (!inherited_.Empty()) OnBehind(false);  // its notices follow the reply
  return {};
}

Result<void> ClientSession::HandleTakeOver(const Frame& frame) {
  const auto request = Parse<wire::TakeOverRequestT>(frame.body);
  if (!request) return Fail(request.error());
  if (server_.hand_over() == nullptr) return Fail(ErrorCode::kProtocolError, "this store hands nothing over");
  UniqueFd channel;
  wire::TakeOverReplyT reply;
  if (const auto ours = CheckSameUser(socket_.fd(), "plasma_store"); ours)
    reply = server_.hand_over()->Answer(*request, channel);
  else
    reply.status = MakeWireStatus(ours.error());
  const int fds[] = {channel.get()};
  socket_.Send(static_cast<uint16_t>(wire::StoreMessage::TakeOverReply), frame.header.request_id, Encode(reply),
               std::span(fds).first(channel ? 1 : 0));
  return {};
}

Result<void> ClientSession::MeetNewClient(const wire::StoreHelloT& hello) {
  const auto peer = GetPeerCredentials(socket_.fd());
  // The page's name holds the number that AddClient will give.
  const uint32_t number = server_.store().next_client();
  const uint64_t bytes =
      server_.segments().strict() ? StagingOffset() + server_.segments().arena_bytes : PinPageBytes();
  auto pins_fd = CreateMemfd(PinPageName(number), bytes, /*reserve=*/false);
  auto pins = pins_fd ? Mapping::Map(pins_fd->get(), PinPageBytes(), Mapping::Access::kReadWrite)
                      : Result<Mapping>(Fail(pins_fd.error()));
  if (!pins)
    return Fail(ErrorCode::kLimit, StrCat("this plasma_store has no memory or descriptor for the pin page of one ",
                                          "more client: ", pins.error().message, " (ulimit -n)"));
  auto* const page = pins->As<PinPage>();  // zeroes; its memory comes with its use
  page->layout_version = kLayoutVersion;
  page->client = number;
  page->ticket = std::random_device()() | uint64_t{std::random_device()()} << 32;
  page->magic = kPinsMagic;
  // First, so that no client is in the index whose page the keeper does not have.
  KeeperLink* const keeper = server_.keeper();
  if (keeper != nullptr) RAYLET_RETURN_IF_ERROR(keeper->KeepClient(number, pins_fd->get(), socket_.fd()));
  if (hello.heir != 0 && !server_.store().IsConnected(hello.heir))
    RAYLET_LOG(kInfo, "client ", number, " (", hello.name, ") names client ", hello.heir,
               " as its heir, which is not connected: it has none");
  const auto client = server_.store().AddClient(peer ? peer->pid : hello.pid, hello.name, page, hello.heir);
  if (!client) {
    if (keeper != nullptr) keeper->Forget(number);
    return Fail(client.error());
  }
  client_ = *client;
  pins_fd_ = std::move(*pins_fd);
  pins_ = std::move(*pins);
  return {};
}

Result<void> ClientSession::MeetAgain(const wire::StoreHelloT& hello) {
  if (ClientSession* const deaf = server_.SessionOf(hello.again); deaf != nullptr && deaf->GiveUp(hello.ticket))
    deaf->Refuse({ErrorCode::kCancelled, "this client has connected once more"});
  if (!server_.absent().Has(hello.again, hello.ticket))
    return Fail(ErrorCode::kNotFound,
                StrCat("client ", hello.again, " is no client of this plasma_store: connect anew"));
  // First: the keeper must not hold the old socket, which says soon that the client is gone.
  if (KeeperLink* const keeper = server_.keeper(); keeper != nullptr)
    RAYLET_RETURN_IF_ERROR(
        keeper->KeepClient(hello.again, server_.absent().Find(hello.again)->pins_fd.get(), socket_.fd()));
  const auto client = server_.absent().Take(hello.again);
  client_ = hello.again;
  pins_fd_ = std::move(client->pins_fd);
  pins_ = std::move(client->pins);
  inherited_ = std::move(client->inherited);
  staging_.HasLostObjects();
  pins_.As<PinPage>()->frames_handled.store(0, std::memory_order_release);
  for (const wire::Id20& id : hello.seals)
    static_cast<void>(Seal(FromWire<ObjectId>(id)));  // it may be sealed, or gone
  Recovery(server_.store()).LoseUnsealed(client_);
  // The earlier server may have died before it told the heir.
  if (hello.tell_owned) static_cast<void>(inherited_.Add(/*client=*/0, Recovery(server_.store()).OwnedBy(client_)));
  return {};
}

Result<void> ClientSession::Seal(const ObjectId& id) {
  ObjectStore& store = server_.store();
  if (server_.segments().strict()) {
    if (const auto object = store.WrittenBy(client_, id)) {
      const uint64_t bytes = InArenaBytes(*object);
      RAYLET_RETURN_IF_ERROR(Staging::Copy(pins_fd_.get(), object->offset, bytes, store.arena_data()));
      staging_.Copied(pins_fd_.get(), object->offset, bytes, server_.segments().arena_bytes,
                      store.WritesOnlyOne(client_));
    }
  }
  return store.Seal(client_, id);
}

bool ClientSession::BeginSeal(const ObjectId& id, uint64_t request_id) {
  if (!server_.segments().strict()) return false;
  const auto object = server_.store().WrittenBy(client_, id);
  if (!object || InArenaBytes(*object) <= kCopiedInATurn) return false;
  socket_.SetReading(false);
  const auto still_there = [this, id, offset = object->offset] {
    const auto now = server_.store().WrittenBy(client_, id);
    return now && now->offset == offset;
  };
  staged_seal_.emplace(
      server_.loop(), pins_fd_.get(), *object, server_.store().arena_data(), still_there,
      [this, id, request_id](Result<void> copied, bool there) { EndSeal(id, request_id, std::move(copied), there); });
  return true;
}

void ClientSession::EndSeal(const ObjectId& id, uint64_t request_id, Result<void> copied, bool there) {
  staged_seal_.reset();
  socket_.SetReading(true);
  if (const auto object = server_.store().WrittenBy(client_, id); object && there)
    staging_.Copied(pins_fd_.get(), object->offset, InArenaBytes(*object), server_.segments().arena_bytes,
                    server_.store().WritesOnlyOne(client_));
  ReplyStatus(request_id, copied ? server_.store().Seal(client_, id) : copied);
  Carried(/*greeted=*/true, /*is_hello=*/false, request_id, {});
}

bool ClientSession::GiveUp(uint64_t ticket) {
  const PinPage& page = *pins_.As<PinPage>();
  if (page.ticket != ticket || page.frames_handled.load(std::memory_order_acquire) != 0) return false;
  UniqueFd socket(::fcntl(socket_.fd(), F_DUPFD_CLOEXEC, 3));
  if (!socket) return false;
  server_.GaveUp(*this);
  server_.absent().Add(std::exchange(client_, 0), std::move(pins_fd_), std::move(pins_), std::move(socket),
                       std::move(inherited_));
  return true;
}

Result<void> ClientSession::Create(Result<BlockedCreate> create) {
  if (!create) return Fail(create.error());
  server_.Create(*std::move(create));
  return {};
}

Result<void> ClientSession::HandleSubscribe(const Frame& frame) {
  const auto request = Parse<wire::SubscribeRequestT>(frame.body);
  if (!request) return Fail(request.error());
  const auto socket = server_.subscriptions().Add(client_);
  wire::SubscribeReplyT reply;
  reply.status = socket ? OkStatus() : MakeWireStatus(socket.error());
  const int fds[] = {socket ? socket->get() : -1};
  socket_.Send(static_cast<uint16_t>(wire::StoreMessage::SubscribeReply), frame.header.request_id, Encode(reply),
               std::span(fds).first(socket ? 1 : 0));
  return {};
}

Result<void> ClientSession::HandleOpenPutRing(const Frame& frame) {
  const auto request = Parse<wire::OpenPutRingRequestT>(frame.body);
  if (!request) return Fail(request.error());
  auto room = server_.memory().RoomFor(PutPageBytes(), "a client's ring for small puts");
  if (server_.segments().strict())
    room = Fail(ErrorCode::kNotAllowed, "with --isolation=strict no client writes into the arena: put by messages");
  const auto opened = room ? server_.put_rings().Open(client_, frames_) : Fail(room.error());
  has_ring_ = has_ring_ || opened;
  wire::PutRingReplyT reply;
  reply.status = opened ? OkStatus() : MakeWireStatus(opened.error());
  const int fds[] = {opened ? opened->memory : -1, opened ? opened->bell : -1};
  socket_.Send(static_cast<uint16_t>(wire::StoreMessage::PutRingReply), frame.header.request_id, Encode(reply),
               std::span(fds).first(opened ? 2 : 0));
  return {};
}

Result<void> ClientSession::HandleRestore(const Frame& frame) {
  const auto request = Parse<wire::RestoreRequestT>(frame.body);
  if (!request) return Fail(request.error());
  server_.disk().Restore({client_, frame.header.request_id, DeadlineOf(server_.Now(), request->timeout_ms)},
                         FromWire(request->ids));
  return {};
}

Result<void> ClientSession::HandleListUses(const Frame& frame) {
  const auto request = Parse<wire::ListUsesRequestT>(frame.body);
  if (!request) return Fail(request.error());
  Send(wire::StoreMessage::ListUsesReply, frame.header.request_id, CountUses(server_.store(), request->first_entry));
  return {};
}

Result<void> ClientSession::HandleDebugText(const Frame& frame) {
  const auto request = Parse<wire::DebugTextRequestT>(frame.body);
  if (!request) return Fail(request.error());
  wire::DebugTextReplyT reply;
  reply.text = server_.store().DebugText();
  Send(wire::StoreMessage::DebugTextReply, frame.header.request_id, reply);
  return {};
}

Result<void> ClientSession::HandleDelete(const Frame& frame, bool at_last_release) {
  const auto request = Parse<wire::IdsRequestT>(frame.body);
  if (!request) return Fail(request.error());
  const std::vector<ObjectId> ids = FromWire(request->ids);
  wire::DeleteReplyT reply;
  for (const Result<void>& deleted :
       at_last_release ? server_.store().DeleteAtLastRelease(ids) : server_.store().Delete(ids))
    reply.codes.push_back(static_cast<uint16_t>(deleted ? ErrorCode::kOk : deleted.error().code));
  if (frame.header.request_id != 0) Send(wire::StoreMessage::DeleteReply, frame.header.request_id, reply);
  return {};
}

Result<void> ClientSession::HandleEvict(const Frame& frame) {
  const auto request = Parse<wire::EvictRequestT>(frame.body);
  if (!request) return Fail(request.error());
  server_.disk().Evict(client_, frame.header.request_id, request->bytes);
  return {};
}

Result<void> ClientSession::HandleWatch(const Frame& frame) {
  const auto request = Parse<wire::IdsRequestT>(frame.body);
  if (!request) return Fail(request.error());
  if (watched_.size() + request->ids.size() > kWatchedIdsPerClientMax) {
    // A client that wants no reply gets this one, too.
    const Error why{ErrorCode::kFull,
                    StrCat("client ", client_, " watches ", watched_.size(), " ids and asks for ", request->ids.size(),
                           " more; the limit is ", kWatchedIdsPerClientMax, ": unwatch some, or wait for their seals")};
    socket_.Send(static_cast<uint16_t>(wire::StoreMessage::StatusReply), frame.header.request_id,
                 EncodeStatusReply(Fail(why)));
    return {};
  }
  if (frame.header.request_id != 0) ReplyStatus(frame.header.request_id, {});
  for (const wire::Id20& wire_id : request->ids) {
    const auto id = FromWire<ObjectId>(wire_id);
    if (!watched_.insert(id).second) continue;
    server_.WatchFor(id, key_);
    if (server_.store().IsSealed(id)) NoticeSealed(id);
  }
  return {};
}

Result<void> ClientSession::HandleUnwatch(const Frame& frame) {
  const auto request = Parse<wire::IdsRequestT>(frame.body);
  if (!request) return Fail(request.error());
  for (const wire::Id20& wire_id : request->ids) {
    const auto id = FromWire<ObjectId>(wire_id);
    if (watched_.erase(id) > 0) server_.UnwatchFor(id, key_);
  }
  ReplyStatus(frame.header.request_id, {});
  return {};
}

}  // namespace raylet::store

#include "tests/fbs/samples.h"

#include "fbs/ids.h"

namespace raylet::samples {

namespace {

wire::Id20 IdOf(uint8_t first) {
  ObjectId id;
  for (size_t i = 0; i < ObjectId::kSize; ++i) id.mutable_data()[i] = static_cast<uint8_t>(first + i);
  return ToWire(id);
}
std::unique_ptr<wire::Id20> IdPointer(uint8_t first) { return std::make_unique<wire::Id20>(IdOf(first)); }

std::unique_ptr<wire::StatusT> FullStatus() {
  auto status = std::make_unique<wire::StatusT>();
  status->code = static_cast<uint16_t>(ErrorCode::kFull);
  status->message = "StoreFull: need 2.0 MiB, free 1.0 MiB";
  status->need_bytes = 2 << 20;
  status->free_bytes = 1 << 20;
  status->largest_run_bytes = 1 << 19;
  status->pinned_bytes = 4096;
  return status;
}

template <class Message>
std::unique_ptr<Message> MakePointer() {
  auto message = std::make_unique<Message>();
  Fill(*message);
  return message;
}

std::unique_ptr<wire::ValueT> InlineValue() {
  auto value = std::make_unique<wire::ValueT>();
  value->kind = wire::ValueKind::Inline;
  value->bytes = {0x93, 1, 2, 3};
  return value;
}
std::unique_ptr<wire::ValueT> StoredValue() {
  auto value = std::make_unique<wire::ValueT>();
  value->kind = wire::ValueKind::Stored;
  value->id = IdPointer(40);
  return value;
}
std::unique_ptr<wire::ValueT> FailedValue() {
  auto value = std::make_unique<wire::ValueT>();
  value->kind = wire::ValueKind::Failed;
  value->failure = MakePointer<wire::FailureT>();
  return value;
}

}  // namespace

void Fill(wire::StoreHelloT& message) {
  message.magic = kStoreMagic;
  message.version_min = kStoreProtocolMin;
  message.version_max = kStoreProtocolMax;
  message.build = kBuild;
  message.pid = 4711;
  message.name = "trainer";
  message.heir = 3;
  message.again = 17;
  message.ticket = 0x123456789abcdef0;
  message.seals = {IdOf(5)};
  message.tell_owned = true;
}
void Fill(wire::StoreHelloReplyT& message) {
  message.status = OkStatus();
  message.version = 1;
  message.client = 7;
  message.arena_bytes = uint64_t{1} << 30;
  message.index_bytes = 5 << 20;
  message.pins_bytes = 266240;
  message.capacity_bytes = uint64_t{1} << 30;
  message.writing_offset = 16797696;
}
void Fill(wire::CreateRequestT& message) {
  message.id = IdPointer(1);
  message.data_bytes = 31400;
  message.metadata_bytes = 33;
  message.evict_if_full = false;
  message.owned = true;
  message.owner = 7;
  message.timeout_ms = -1;
}
void Fill(wire::CreateReplyT& message) {
  message.status = FullStatus();
  message.offset = 64 * 1024;
}
void Fill(wire::CreateAndSealRequestT& message) {
  message.id = IdPointer(2);
  message.data = {1, 2, 3, 4, 5};
  message.metadata = {9};
  message.owned = true;
  message.owner = 3;
  message.timeout_ms = 250;
}
void Fill(wire::CreateAndSealBatchRequestT& message) {
  message.ids = {IdOf(2), IdOf(3)};
  message.data_bytes = {3, 0};
  message.metadata_bytes = {1, 2};
  message.bytes = {1, 2, 3, 9, 7, 8};
}
void Fill(wire::SubscribeRequestT&) {}
void Fill(wire::SubscribeReplyT& message) { message.status = OkStatus(); }
void Fill(wire::OpenPutRingRequestT&) {}
void Fill(wire::TakeOverRequestT& message) {
  message.magic = kStoreMagic;
  message.layout_version = 7;
  message.build = "0.1";
}
void Fill(wire::TakeOverReplyT& message) {
  message.status = OkStatus();
  message.layout_version = 7;
  message.build = "0.1";
  message.capacity_bytes = uint64_t{1} << 30;
  message.strict = true;
  message.spill_folder = "/var/spill";
}
void Fill(wire::PutRingReplyT& message) { message.status = OkStatus(); }
void Fill(wire::ObjectNoticeT& message) {
  message.id = IdPointer(6);
  message.data_bytes = 1 << 20;
  message.metadata_bytes = 33;
}
void Fill(wire::RestoreRequestT& message) {
  message.ids = {IdOf(4), IdOf(5)};
  message.timeout_ms = 500;
}
void Fill(wire::ListUsesRequestT& message) { message.first_entry = 0; }
void Fill(wire::ListUsesReplyT& message) {
  message.uses = {wire::EntryUse(4, 1), wire::EntryUse(7, 12)};
  message.next_entry = 9;
}
void Fill(wire::SetOptionsRequestT& message) {
  message.name = "trainer";
  message.quota_bytes = 10000;
}
void Fill(wire::DebugTextRequestT&) {}
void Fill(wire::DebugTextReplyT& message) { message.text = "num clients with quota: 0"; }
void Fill(wire::IdRequestT& message) { message.id = IdPointer(3); }
void Fill(wire::IdsRequestT& message) { message.ids = {IdOf(4), IdOf(5), IdOf(4)}; }
void Fill(wire::DeleteReplyT& message) { message.codes = {0, 3, 4}; }
void Fill(wire::EvictRequestT& message) { message.bytes = 1 << 20; }
void Fill(wire::EvictReplyT& message) {
  message.status = OkStatus();
  message.evicted_bytes = 1 << 20;
}
void Fill(wire::SealedNoticeT& message) { message.id = IdPointer(6); }
void Fill(wire::InheritedNoticeT& message) {
  message.client = 7;
  message.ids = {IdOf(4), IdOf(5)};
  message.last = true;
}
void Fill(wire::DeleteMadeByRequestT& message) {
  message.ids = {IdOf(4), IdOf(5)};
  message.client = 7;
}
void Fill(wire::SetOwnerRequestT& message) {
  message.ids = {IdOf(7), IdOf(8)};
  message.owner = 12;
}
void Fill(wire::StatusReplyT& message) { message.status = FullStatus(); }

void Fill(wire::RegisterRequestT& message) {
  message.magic = kRayletMagic;
  message.version_min = kRayletProtocolMin;
  message.version_max = kRayletProtocolMax;
  message.build = kBuild;
  message.kind = wire::ProcessKind::Worker;
  message.pid = 4712;
  message.startup_token = 0x123456789abcdef0;
  message.executable = "/usr/bin/train";
  message.arguments = {"train", "--epochs", "10", ""};
  message.environment = {"HOME=/home/ada", "LANG=C"};
  message.working_directory = "/home/ada";
  message.actor_namespace = "default";
  message.detached_actors = true;
  message.code_search_path = {"/opt/lib.so"};
}
void Fill(wire::RegisterReplyT& message) {
  message.actor_namespace = "default";
  message.detached_actors = true;
  message.code_search_path = {"/opt/lib.so"};
  message.environment = R"({"env_vars":{"A":"1"}})";
  message.status = OkStatus();
  message.version = 1;
  message.process = 3;
  message.job = 1;
  message.node = IdPointer(9);
  message.store_socket = "/run/user/1000/raylet/store";
  message.logs_folder = "/run/user/1000/raylet/logs";
  message.socket = "/run/user/1000/raylet/raylet";
  message.addresses = {"10.0.0.1:7000", "10.0.0.2:7000"};
  message.heir = 2;
  message.tasks_max = 500'000;
  message.task_bytes_max = size_t{1} << 29;
}
void Fill(wire::ReadyNoticeT& message) { message.store_client = 5; }
void Fill(wire::FailureT& message) {
  message.kind = wire::FailureKind::WorkerDied;
  message.message = "The worker of Gradient was killed by signal 9.";
  message.function = "Gradient";
  message.exception_type = "std::runtime_error";
  message.what = "no data";
  message.pid = 4713;
  message.signal = 9;
  message.may_have_run = true;
  message.retry_safe = true;
  message.hint = "See its log.";
}
void Fill(wire::TaskSpecT& message) {
  message.environment = R"({"env_vars":{"A":"1"}})";
  message.id = IdPointer(10);
  message.name = "gradient of shard 1";
  message.function = "Gradient";
  message.arguments.push_back(InlineValue());
  message.arguments.push_back(StoredValue());
  message.arguments.push_back(FailedValue());
  message.wait_for = {IdOf(40)};
  auto resource = std::make_unique<wire::ResourceT>();
  resource->name = "CPU";
  resource->units = 5000;
  message.resources.push_back(std::move(resource));
  message.max_retries = 3;
  message.owner = 3;
  message.owner_store_client = 5;
  message.lend = 17;
  message.actor = std::make_unique<wire::ActorSpecT>();
  message.actor->max_concurrency = 4;
  message.actor->id = IdPointer(50);
  message.actor->name = "shard 1";
  message.actor->actor_namespace = "default";
  message.actor->max_task_retries = 2;
  message.actor->max_restarts = -1;
  message.actor->detached = true;
  message.actor->restarts = 2;
  message.actor->lease = 1;
  message.depth = 2;
  message.begun_before = 1;
  message.placement_group = IdPointer(90);
  message.bundle = 1;
}
void Fill(wire::TaskResultT& message) {
  message.id = IdPointer(10);
  message.process = 4;
  message.result = FailedValue();
  message.lend = 18;
  message.arguments_retained = true;
  message.retained = {IdOf(50)};
}
void Fill(wire::ActorRequestT& message) { message.actor = IdPointer(50); }
void Fill(wire::OpenChannelRequestT& message) { message.actor = IdPointer(50); }
void Fill(wire::OpenChannelReplyT& message) {
  message.status = OkStatus();
  message.channel = 2;
  message.process = 4;
  message.failure = MakePointer<wire::FailureT>();
  message.relayed = true;
  message.incarnation = 3;
  message.lease = 1;
}
void Fill(wire::ChannelNoticeT& message) {
  message.channel = 2;
  message.caller = 3;
  message.caller_store_client = 5;
  message.actor = IdPointer(50);
  message.relayed = true;
  message.incarnation = 3;
}
void Fill(wire::ActorNoticeT& message) {
  message.actor = IdPointer(50);
  message.state = wire::ActorState::Restarting;
  message.restarts = 1;
  message.ended = 2;
  message.host_lost = true;
  message.failure = MakePointer<wire::FailureT>();
}
void Fill(wire::KillActorRequestT& message) {
  message.actor = IdPointer(50);
  message.no_restart = false;
}
void Fill(wire::FindActorRequestT& message) {
  message.name = "shard 1";
  message.actor_namespace = "default";
}
void Fill(wire::FindActorReplyT& message) {
  message.max_task_retries = 2;
  message.status = OkStatus();
  message.actor = IdPointer(50);
}
void Fill(wire::BlockedNoticeT& message) { message.blocked = true; }
void Fill(wire::ExitNoticeT& message) { message.job_ended = true; }
void Fill(wire::StaysNoticeT& message) { message.stays = true; }
void Fill(wire::DevicesNoticeT& message) { message.visible = "0,1"; }
void Fill(wire::LendNoticeT& message) {
  message.process = 4;
  message.lend = 18;
}
void Fill(wire::ProcessNoticeT& message) {
  message.process = 4;
  message.failure = MakePointer<wire::FailureT>();
  message.also = {5, 6};
  message.met = {7, 8};
}
void Fill(wire::SealedObjectsNoticeT& message) { message.objects = {IdOf(50), IdOf(51)}; }
void Fill(wire::ClaimNoticeT& message) {
  message.objects = {IdOf(50), IdOf(51)};
  message.owner = 12;
  message.unlent = true;
}
void Fill(wire::ClaimsMadeNoticeT& message) { message.process = 4; }
void Fill(wire::ClaimsHeldNoticeT& message) {
  message.number = 5;
  message.gone = {IdOf(51)};
}
void Fill(wire::SettledNoticeT& message) {
  message.processes = {4, 5};
  message.kept = {IdOf(50)};
}
void Fill(wire::EndClaimedNoticeT& message) {
  message.process = 4;
  message.waits_for = {6, 7};
}
void Fill(wire::JobWarningNoticeT& message) {
  message.job = 3;
  message.sentence = "3 tasks wait for a worker process";
}
void Fill(wire::WarningNoticeT& message) { message.sentence = "3 tasks wait for a worker process"; }
void Fill(wire::LeaseRequestT& message) {
  message.environment = R"({"env_vars":{"A":"1"}})";
  auto resource = std::make_unique<wire::ResourceT>();
  resource->name = "CPU";
  resource->units = 5000;
  message.resources.push_back(std::move(resource));
  message.depth = 2;
  message.placement_group = IdPointer(90);
  message.bundle = 1;
}
void Fill(wire::LeaseReplyT& message) {
  message.status = OkStatus();
  message.lease = 3;
  message.process = 4;
}
void Fill(wire::LeaseNoticeT& message) {
  message.lease = 3;
  message.caller = 4;
  message.caller_store_client = 5;
  message.depth = 2;
}
void Fill(wire::LeaseLostNoticeT& message) {
  message.lease = 3;
  message.failure = MakePointer<wire::FailureT>();
}
void Fill(wire::TasksNoticeT& message) { message.tasks = {IdOf(60), IdOf(61)}; }
void Fill(wire::EmptyNoticeT&) {}
void Fill(wire::NodeStatusReplyT& message) { message.json = "{\"workers\": 2}"; }
void Fill(wire::NodeResourceT& message) {
  message.name = "CPU";
  message.total = 4;
  message.available = 2.5;
}
void Fill(wire::NodeEntryT& message) {
  message.node = IdPointer(70);
  message.address = "10.0.0.1:7000";
  message.alive = true;
  message.resources.push_back(MakePointer<wire::NodeResourceT>());
}
void Fill(wire::ListNodesReplyT& message) { message.nodes.push_back(MakePointer<wire::NodeEntryT>()); }
void Fill(wire::MetricTagT& message) {
  message.key = "server";
  message.value = "a";
}
void Fill(wire::MetricReportT& message) {
  message.kind = wire::MetricKind::Histogram;
  message.name = "latency";
  message.description = "of a request";
  message.unit = "ms";
  message.tags.push_back(MakePointer<wire::MetricTagT>());
  message.value = 7.5;
  message.bounds = {1, 10};
  message.counts = {1, 2, 0};
}
void Fill(wire::MetricsNoticeT& message) { message.metrics.push_back(MakePointer<wire::MetricReportT>()); }
void Fill(wire::CancelRequestT& message) {
  message.actor = IdPointer(44);
  message.task = IdPointer(60);
  message.lease = 3;
  message.force = true;
}
void Fill(wire::CancelNoticeT& message) {
  message.actor = IdPointer(44);
  message.task = IdPointer(60);
  message.force = true;
}

void Fill(wire::WantNoticeT& message) {
  message.objects = {IdOf(50), IdOf(51)};
  message.wait = true;
}
void Fill(wire::LostNoticeT& message) {
  message.object = IdPointer(50);
  message.failure = MakePointer<wire::FailureT>();
}
void Fill(wire::FreeNoticeT& message) { message.objects = {IdOf(50)}; }

void Fill(wire::OpenRelayRequestT& message) {
  message.relay = 12;
  message.actor = IdPointer(50);
  message.caller = 7;
  message.incarnation = 3;
}
void Fill(wire::RelayedRecordsT& message) {
  message.relay = 12;
  message.to_actor = true;
  message.records = {3, 0, 0, 0, 1, 0, 0, 0, 10, 11, 12};
}
void Fill(wire::RelayCreditNoticeT& message) {
  message.relay = 12;
  message.to_actor = true;
  message.bytes = 4096;
}
void Fill(wire::RelayNoticeT& message) { message.relay = 12; }
void Fill(wire::RelayEndedNoticeT& message) {
  message.relay = 12;
  message.status = FullStatus();
}

void Fill(wire::JobProgramNoticeT& message) {
  message.detached_actors = true;
  message.code_search_path = {"/opt/lib.so"};
  message.job = 3;
  message.actor_namespace = "training";
  message.executable = "/opt/train/bin/train";
  message.arguments = {"train", "--epochs", "3"};
  message.environment = {"HOME=/home/ml"};
  message.working_directory = "/home/ml";
}
void Fill(wire::JobNoticeT& message) { message.job = 3; }
void Fill(wire::ForwardedTaskT& message) {
  message.job = 3;
  const Bytes spec = Encode(Make<wire::TaskSpecT>());
  for (const std::byte byte : spec) message.spec.push_back(static_cast<uint8_t>(byte));
}
void Fill(wire::TaskNoticeT& message) {
  message.task = IdPointer(60);
  message.actor = IdPointer(44);
}
void Fill(wire::TaskReturnedNoticeT& message) {
  message.task = IdPointer(60);
  message.status = FullStatus();
}
void Fill(wire::PeerClaimsT& message) {
  message.by = 4;
  message.number = 7;
  message.objects = {IdOf(50), IdOf(51)};
  message.unlent = true;
}
void Fill(wire::ClaimsTakenNoticeT& message) {
  message.number = 7;
  message.freed = {IdOf(50)};
  message.lost = {IdOf(51), IdOf(52)};
}
void Fill(wire::ReleasedLendT& message) {
  message.lender = 7;
  message.by = 8;
  message.lend = 9;
}

void Fill(wire::EndActorNoticeT& message) {
  message.actor = IdPointer(50);
  message.at_once = true;
}
void Fill(wire::ActorGoneNoticeT& message) {
  message.actor = IdPointer(50);
  message.never_began = true;
  message.failure = MakePointer<wire::FailureT>();
}

void Fill(wire::OpenActorRequestT& message) {
  message.actor = IdPointer(50);
  message.caller = 3;
  message.request = 21;
}
void Fill(wire::ActorGrantedNoticeT& message) {
  message.actor = IdPointer(50);
  message.caller = 3;
  message.request = 21;
  message.host = IdPointer(60);
  message.process = 4;
  message.incarnation = 3;
}
void Fill(wire::ActorRefusedNoticeT& message) {
  message.actor = IdPointer(50);
  message.caller = 3;
  message.request = 21;
  message.failure = MakePointer<wire::FailureT>();
}
void Fill(wire::WatchActorRequestT& message) {
  message.actor = IdPointer(50);
  message.process = 3;
}
void Fill(wire::WatchedActorNoticeT& message) {
  message.process = 3;
  message.change = MakePointer<wire::ActorNoticeT>();
}

void Fill(wire::LocateRequestT& message) {
  message.objects = {IdOf(4), IdOf(5)};
  message.without = {wire::CopyAt(IdOf(5), IdOf(90), 0)};
}
void Fill(wire::LocatedNoticeT& message) {
  message.copies = {wire::CopyAt(IdOf(4), IdOf(91), 1 << 20), wire::CopyAt(IdOf(4), IdOf(92), 1 << 20)};
  message.none_yet = {IdOf(5)};
  message.lost = {IdOf(6)};
  message.lost_with = {wire::CopyAt(IdOf(7), IdOf(93), 0)};
}
void Fill(wire::CopiesSealedNoticeT& message) { message.objects = {wire::SizedObject(IdOf(4), 1 << 20)}; }
void Fill(wire::CopiesDroppedNoticeT& message) { message.objects = {IdOf(4)}; }
void Fill(wire::FreeCopiesNoticeT& message) { message.objects = {IdOf(4), IdOf(5)}; }
void Fill(wire::PullRequestT& message) {
  message.object = IdPointer(4);
  message.priority = 2;
  message.offset = 1 << 18;
  message.data_bytes = 1 << 20;
  message.metadata_bytes = 10;
}
void Fill(wire::PullHeaderT& message) {
  message.data_bytes = 1 << 20;
  message.metadata_bytes = 10;
  message.offset = 1 << 18;
}
void Fill(wire::PullRefusedT& message) { message.status = FullStatus(); }
void Fill(wire::PullPriorityNoticeT& message) { message.priority = 1; }

void Fill(wire::PeerHelloT& message) {
  message.magic = kPeerMagic;
  message.version_min = kPeerProtocolMin;
  message.version_max = kPeerProtocolMax;
  message.build = kBuild;
  message.node = IdPointer(60);
  message.epoch = 0xfedcba9876543210;
  message.machine_number = 7;
  message.role = wire::PeerRole::Session;
  for (uint8_t i = 0; i < 32; ++i) message.nonce.push_back(i);
  message.address = "10.0.0.1:7000";
}
void Fill(wire::PeerProofT& message) { message.mac.assign(32, 0xa5); }
void Fill(wire::PeerAcceptedT& message) {
  message.session = 11;
  message.peer_session = 12;
  message.received = 300;
}
void Fill(wire::PeerRefusedT& message) {
  message.kind = wire::RefusalKind::SessionEnded;
  message.status = FullStatus();
}
void Fill(wire::PeerAckT& message) { message.received = 301; }
void Fill(wire::PeerHeartbeatT& message) {
  message.received = 302;
  message.sent_ns = 70'000'000'000;
  message.heard_ns = 69'000'000'000;
  message.patience_ms = 10'000;
  for (const char* name : {"CPU", "gpu"}) {
    auto line = std::make_unique<wire::PeerResourceLineT>();
    line->name = name;
    line->total_units = 40000;
    line->free_units = 25000;
    line->queued_units = 5000;
    line->leased_units = 10000;
    message.lines.push_back(std::move(line));
    auto resource = std::make_unique<wire::ResourceT>();
    resource->name = name;
    resource->units = 15000;
    auto held = std::make_unique<wire::PeerHeldT>();
    held->node = IdPointer(61);
    held->resources.push_back(std::move(resource));
    message.held.push_back(std::move(held));
  }
  message.queued_tasks = 3;
  message.running_tasks = 2;
  message.store_capacity_bytes = uint64_t{1} << 30;
  message.store_free_bytes = uint64_t{1} << 29;
}
void Fill(wire::PeerGoodbyeT& message) { message.status = FullStatus(); }
void Fill(wire::PeerIntroductionT& message) {
  message.all = true;
  for (const uint8_t id : {62, 63}) {
    auto introduced = std::make_unique<wire::PeerIntroducedT>();
    introduced->node = IdPointer(id);
    introduced->epoch = 0x0123456789abcdef;
    introduced->address = "10.0.0.2:7000";
    message.introduced.push_back(std::move(introduced));
  }
  message.gone.push_back(*IdPointer(64));
}

}  // namespace raylet::samples

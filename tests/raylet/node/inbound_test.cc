#include "raylet/node/inbound.h"

#include <gtest/gtest.h>

#include "fbs/text_bounds.h"

namespace raylet {
namespace {

const TaskSender kSender{7, 3, "space"};
std::atomic<uint64_t> counter{1};

wire::TaskSpecT Spec() {
  wire::TaskSpecT spec;
  spec.id = std::make_unique<wire::Id20>(ToWire(TaskId::FromRandom()));
  spec.function = "f";
  spec.owner = kSender.process;
  return spec;
}

wire::TaskSpecT ActorSpec() {
  wire::TaskSpecT spec = Spec();
  spec.actor = std::make_unique<wire::ActorSpecT>();
  spec.actor->id = std::make_unique<wire::Id20>(ToWire(NewActorId(kSender.process, counter)));
  return spec;
}

Result<ParsedTask> Read(const wire::TaskSpecT& spec, bool actor = false) {
  Frame frame;
  frame.body = Encode(spec);
  return ParseTask(frame, kSender, actor);
}

TEST(Inbound, TaskAsksForOneCpuUnlessItSaysOtherwiseAndAnActorForNone) {
  EXPECT_EQ(Read(Spec())->task->resources.ToString(), "CPU 1");
  EXPECT_EQ(Read(ActorSpec(), true)->task->resources.ToString(), "nothing");
  auto none = Spec();
  none.resources.push_back(std::make_unique<wire::ResourceT>());
  none.resources.back()->name = "CPU";
  EXPECT_EQ(Read(none)->task->resources.ToString(), "nothing");
}

TEST(Inbound, ActorWithoutANamespaceIsInItsJobs) {
  EXPECT_EQ(Read(ActorSpec(), true)->task->actor->actor_namespace, "space");
  auto spec = ActorSpec();
  spec.actor->actor_namespace = "other";
  EXPECT_EQ(Read(spec, true)->task->actor->actor_namespace, "other");
}

TEST(Inbound, ATaskIsNestedAsDeeplyAsItSaysButForABound) {
  auto spec = Spec();
  EXPECT_EQ(Read(spec)->task->depth, 0u);
  spec.depth = 3;
  EXPECT_EQ(Read(spec)->task->depth, 3u);
  spec.depth = 0xffffffff;
  EXPECT_EQ(Read(spec)->task->depth, kTaskDepthMax);
}

TEST(Inbound, OwnersOfOtherMachinesAndMissingActorsAreNonsense) {
  auto foreign = Spec();
  foreign.owner = 8;
  EXPECT_EQ(Read(foreign).error().code, ErrorCode::kProtocolError);
  EXPECT_EQ(Read(Spec(), true).error().code, ErrorCode::kProtocolError);
  EXPECT_EQ(Read(ActorSpec(), false).error().code, ErrorCode::kProtocolError);
  auto endless = ActorSpec();
  endless.actor->max_restarts = -2;
  EXPECT_EQ(Read(endless, true).error().code, ErrorCode::kProtocolError);
  auto restarted = ActorSpec();
  restarted.actor->restarts = 1;
  EXPECT_EQ(Read(restarted, true).error().code, ErrorCode::kProtocolError);
  auto leased = ActorSpec();
  leased.actor->lease = 1;
  EXPECT_EQ(Read(leased, true).error().code, ErrorCode::kProtocolError);
}

TEST(Inbound, CreationOfAnIncarnationDiffersFromTheFirstInItsCountAndLeaseAlone) {
  auto spec = ActorSpec();
  spec.arguments.push_back(std::make_unique<wire::ValueT>());
  spec.arguments.back()->bytes = {1, 2, 3};
  const auto parsed = Read(spec, true);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(CreationOf(*parsed->task, 1, 0), parsed->task->body);
  auto again = Parse<wire::TaskSpecT>(CreationOf(*parsed->task, 4, 9));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(std::exchange(again->actor->restarts, 0u), 3u);
  EXPECT_EQ(std::exchange(again->actor->lease, 0u), 9u);
  EXPECT_EQ(Encode(*again), parsed->task->body);
}

TEST(Inbound, BadRequestOfAUserIsRefusedWithASentence) {
  auto long_name = Spec();
  long_name.name.assign(kNameBytesMax + 1, 'x');
  const auto refused = Read(long_name);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->sound.error().code, ErrorCode::kInvalid);
  auto many = Spec();
  many.wait_for.assign(kWaitForMax + 1, ToWire(ObjectId::FromRandom()));
  EXPECT_EQ(Read(many)->sound.error().code, ErrorCode::kInvalid);
}

constexpr uint32_t kStoreClient = 77;

Result<ParsedTask> ReadForwarded(const Bytes& spec) {
  const NodeId node = NodeId::FromRandom();
  return ParseForwardedTask(spec, {node, MachineOf(kSender.process), 3, "space", kStoreClient});
}

TEST(Inbound, ForwardedTaskNamesTheStoreClientOfThisMachine) {
  for (const uint32_t at_home : {0u, 5u}) {
    auto spec = Spec();
    spec.owner_store_client = at_home;
    const auto parsed = ReadForwarded(Encode(spec));
    ASSERT_TRUE(parsed.has_value()) << at_home;
    auto body = Parse<wire::TaskSpecT>(parsed->task->body);
    ASSERT_TRUE(body.has_value()) << at_home;
    EXPECT_EQ(std::exchange(body->owner_store_client, at_home), kStoreClient);
    EXPECT_EQ(Encode(*body), Encode(spec)) << at_home;
  }
}

// The field of the store client lies on half of the owner's number.
TEST(Inbound, ForwardedTaskIsCheckedAsItsWorkerReadsIt) {
  auto spec = Spec();
  spec.owner_store_client = 5;
  Bytes body = Encode(spec);
  ASSERT_TRUE(ReadForwarded(body).has_value());
  auto* const table = reinterpret_cast<uint8_t*>(flatbuffers::GetMutableRoot<flatbuffers::Table>(body.data()));
  uint8_t* const vtable = table - flatbuffers::ReadScalar<flatbuffers::soffset_t>(table);
  const auto owner = flatbuffers::ReadScalar<flatbuffers::voffset_t>(vtable + wire::TaskSpec::VT_OWNER);
  const auto machine = static_cast<flatbuffers::voffset_t>(owner + sizeof(uint32_t));
  flatbuffers::WriteScalar(vtable + wire::TaskSpec::VT_OWNER_STORE_CLIENT, machine);
  const auto parsed = ReadForwarded(body);
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().code, ErrorCode::kProtocolError);
}

TEST(Inbound, MalformedForwardedTaskIsNonsense) {
  const Bytes body = Encode(Spec());
  const size_t padding_max = 3;  // at its end
  for (size_t bytes = 0; bytes + padding_max < body.size(); ++bytes)
    EXPECT_FALSE(ReadForwarded(Bytes(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(bytes)))) << bytes;
}

Result<void> Check(const wire::ValueT& value) {
  const Bytes body = Encode(value);
  const MessageView<wire::Value> view(body);
  return view ? CheckValue(*view) : Result<void>(Fail(view.error()));
}

TEST(Inbound, ValuesMustBeWhatTheirKindSays) {
  wire::ValueT value;
  EXPECT_TRUE(Check(value).has_value());
  value.kind = wire::ValueKind::Stored;
  EXPECT_FALSE(Check(value).has_value());
  value.id = std::make_unique<wire::Id20>(ToWire(ObjectId::FromRandom()));
  EXPECT_TRUE(Check(value).has_value());
  value.kind = wire::ValueKind::Failed;
  EXPECT_FALSE(Check(value).has_value());
  value.failure = std::make_unique<wire::FailureT>();
  EXPECT_TRUE(Check(value).has_value());
  value.failure->kind = static_cast<wire::FailureKind>(99);
  EXPECT_FALSE(Check(value).has_value());
  value.failure->kind = wire::FailureKind::Other;
  value.failure->hint.assign(kFailureBytesMax, 'x');
  EXPECT_TRUE(Check(value).has_value());
  value.failure->what = "x";
  EXPECT_FALSE(Check(value).has_value());
  value.kind = static_cast<wire::ValueKind>(3);
  EXPECT_FALSE(Check(value).has_value());
}

}  // namespace
}  // namespace raylet

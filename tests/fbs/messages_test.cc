#include "fbs/messages.h"
#include "fbs/peer_object_generated.h"

#include <gtest/gtest.h>

#include "fbs/peer_messages.h"
#include "tests/fbs/samples.h"
#include "wire_message_list.h"

namespace raylet {
namespace {

template <class Message>
std::string NameOf() {
  return Message::TableType::GetFullyQualifiedName();
}

template <class Message>
void CheckRoundTrip() {
  SCOPED_TRACE(NameOf<Message>());
  const Bytes sent = Encode(samples::Make<Message>());
  const auto parsed = Parse<Message>(sent);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(Encode(*parsed), sent);
}

template <class Message>
void CheckTruncations() {
  SCOPED_TRACE(NameOf<Message>());
  const Bytes sent = Encode(samples::Make<Message>());
  for (size_t size = 0; size < sent.size(); ++size) {
    const auto parsed = Parse<Message>(std::span(sent).first(size));
    // A lost byte of padding at the end may go unnoticed. A message that parses must be sound; everything else is a
    // protocol error.
    if (parsed) {
      EXPECT_LT(sent.size() - size, 8U);
      Encode(*parsed);
    } else {
      EXPECT_EQ(parsed.error().code, ErrorCode::kProtocolError);
      EXPECT_NE(parsed.error().message.find(NameOf<Message>()), std::string::npos) << parsed.error().message;
    }
  }
}

template <class Message>
void CheckFlippedBytes() {
  SCOPED_TRACE(NameOf<Message>());
  const Bytes sent = Encode(samples::Make<Message>());
  for (size_t at = 0; at < sent.size(); ++at) {
    for (const auto flip : {std::byte{0x01}, std::byte{0x80}, std::byte{0xff}}) {
      Bytes bent = sent;
      bent[at] ^= flip;
      const auto parsed = Parse<Message>(bent);
      if (parsed) {
        EXPECT_LE(Encode(*parsed).size(), 8 * sent.size());
      }
    }
  }
}

TEST(Messages, EveryTypeComesBackAsItWasSent) {
#define RAYLET_X(name) CheckRoundTrip<wire::name##T>();
  RAYLET_WIRE_MESSAGES(RAYLET_X)
#undef RAYLET_X
}

TEST(Messages, EveryTruncationOfEveryTypeIsAProtocolErrorThatNamesTheType) {
#define RAYLET_X(name) CheckTruncations<wire::name##T>();
  RAYLET_WIRE_MESSAGES(RAYLET_X)
#undef RAYLET_X
}

TEST(Messages, NoFlippedByteOfAnyTypeDoesHarm) {
#define RAYLET_X(name) CheckFlippedBytes<wire::name##T>();
  RAYLET_WIRE_MESSAGES(RAYLET_X)
#undef RAYLET_X
}

TEST(Messages, FieldsKeepTheirValues) {
  const auto task = Parse<wire::TaskSpecT>(Encode(samples::Make<wire::TaskSpecT>()));
  ASSERT_TRUE(task);
  EXPECT_EQ(task->function, "Gradient");
  ASSERT_EQ(task->arguments.size(), 3U);
  EXPECT_EQ(task->arguments[0]->bytes, (std::vector<uint8_t>{0x93, 1, 2, 3}));
  EXPECT_EQ(FromWire<ObjectId>(*task->arguments[1]->id).data()[0], 40);
  EXPECT_EQ(task->arguments[2]->failure->signal, 9);
  EXPECT_EQ(task->resources[0]->units, 5000);
  EXPECT_EQ(task->actor->max_restarts, -1);
  EXPECT_TRUE(task->actor->detached);
}

TEST(Messages, AMessageInAnUnalignedSliceOfAReceiveBufferParses) {
  for (const size_t data_bytes : {5U, 4000U}) {
    auto message = samples::Make<wire::CreateAndSealRequestT>();
    message.data.assign(data_bytes, 7);
    const Bytes sent = Encode(message);
    std::vector<uint64_t> words(sent.size() / 8 + 3);
    auto* const base = reinterpret_cast<std::byte*>(words.data());
    for (size_t shift = 0; shift < 8; ++shift) {
      std::memcpy(base + shift, sent.data(), sent.size());
      const auto parsed = Parse<wire::CreateAndSealRequestT>(std::span(base + shift, sent.size()));
      ASSERT_TRUE(parsed) << "shift " << shift << ": " << parsed.error().message;
      EXPECT_EQ(parsed->data, message.data);
    }
  }
}

TEST(Messages, NoBytesAreAProtocolError) {
  const auto parsed = Parse<wire::EmptyNoticeT>({});
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, ErrorCode::kProtocolError);
}

TEST(Messages, AMissingRequiredFieldIsAProtocolError) {
  // An empty table has no field, so a type with a required field must refuse it.
  const Bytes empty = Encode(wire::EmptyNoticeT());
  EXPECT_FALSE(Parse<wire::IdRequestT>(empty));
  EXPECT_FALSE(Parse<wire::TaskSpecT>(empty));
  EXPECT_FALSE(Parse<wire::StatusReplyT>(empty));
  EXPECT_TRUE(Parse<wire::BlockedNoticeT>(empty));
}

TEST(Messages, StringsThatShareTheirBytesCannotBlowAMessageUp) {
  // 5,000 environment variables that are one and the same string of 50,000 bytes: 70 KB that would unpack to 250 MB.
  flatbuffers::FlatBufferBuilder builder;
  const auto text = builder.CreateString(std::string(50'000, 'x'));
  const std::vector<flatbuffers::Offset<flatbuffers::String>> many(5'000, text);
  const auto environment = builder.CreateVector(many);
  const auto arguments = builder.CreateVector(std::vector<flatbuffers::Offset<flatbuffers::String>>());
  const auto word = builder.CreateString("x");
  wire::RegisterRequestBuilder request(builder);
  request.add_build(word);
  request.add_executable(word);
  request.add_arguments(arguments);
  request.add_environment(environment);
  request.add_working_directory(word);
  request.add_actor_namespace(word);
  builder.Finish(request.Finish());
  const auto parsed = Parse<wire::RegisterRequestT>(
      {reinterpret_cast<const std::byte*>(builder.GetBufferPointer()), builder.GetSize()});
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, ErrorCode::kProtocolError);
}

TEST(Messages, ArgumentsThatShareTheirBytesCannotBlowATaskUp) {
  flatbuffers::FlatBufferBuilder builder;
  const auto bytes = builder.CreateVector(std::vector<uint8_t>(50'000, 1));
  wire::ValueBuilder value(builder);
  value.add_bytes(bytes);
  const auto shared = value.Finish();
  const auto arguments = builder.CreateVector(std::vector<flatbuffers::Offset<wire::Value>>(5'000, shared));
  const auto resources = builder.CreateVector(std::vector<flatbuffers::Offset<wire::Resource>>());
  const auto wait_for = builder.CreateVectorOfStructs(std::vector<wire::Id20>());
  const auto word = builder.CreateString("x");
  const wire::Id20 id;
  wire::TaskSpecBuilder task(builder);
  task.add_id(&id);
  task.add_name(word);
  task.add_function(word);
  task.add_arguments(arguments);
  task.add_wait_for(wait_for);
  task.add_resources(resources);
  builder.Finish(task.Finish());
  const auto parsed =
      Parse<wire::TaskSpecT>({reinterpret_cast<const std::byte*>(builder.GetBufferPointer()), builder.GetSize()});
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, ErrorCode::kProtocolError);
}

TEST(Messages, MoreTablesThanAMessageMayHaveAreAProtocolError) {
  auto task = samples::Make<wire::TaskSpecT>();
  for (size_t i = 0; i <= kMessageTablesMax; ++i) task.arguments.push_back(std::make_unique<wire::ValueT>());
  const auto parsed = Parse<wire::TaskSpecT>(Encode(task));
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, ErrorCode::kProtocolError);
}

TEST(Messages, TheDeepestMessageOfOursStaysWellBelowTheDepthLimit) {
  // task -> argument -> failure: the deepest nesting there is. A verifier with a limit below it refuses the message,
  // which shows that depth is counted at all: no schema of ours can nest for ever.
  const Bytes sent = Encode(samples::Make<wire::TaskSpecT>());
  const auto verify = [&](size_t depth_max) {
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(sent.data()), sent.size(),
                                   static_cast<flatbuffers::uoffset_t>(depth_max), kMessageTablesMax);
    return verifier.VerifyBuffer<wire::TaskSpec>(nullptr);
  };
  EXPECT_FALSE(verify(2));
  EXPECT_TRUE(verify(3));
  EXPECT_LE(size_t{3}, kMessageDepthMax);
}

TEST(Messages, AStatusCarriesAnErrorAndItsSentence) {
  const auto parsed =
      Parse<wire::StatusReplyT>(EncodeStatusReply(Fail(ErrorCode::kNotFound, "there is no such object")));
  ASSERT_TRUE(parsed);
  const Result<void> outcome = FromStatus(*parsed->status);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(outcome.error().message, "there is no such object");

  const auto fine = Parse<wire::StatusReplyT>(EncodeStatusReply({}));
  ASSERT_TRUE(fine);
  EXPECT_TRUE(FromStatus(*fine->status));
}

TEST(Ids, AnObjectIdNamesItsOwnerAndIsNeverMadeTwice) {
  std::atomic<uint64_t> counter{0};
  const ObjectId a = NewObjectId(42, counter);
  const ObjectId b = NewObjectId(42, counter);
  EXPECT_EQ(OwnerOf(a), 42U);
  EXPECT_NE(a, b);
  EXPECT_EQ(FromWire<ObjectId>(ToWire(a)), a);
}

// The verifier of FlatBuffers lets these pass.
TEST(Messages, AVectorWhoseElementsAreMisalignedIsRefused) {
  for (const bool is_met : {false, true}) {
    bool accepted = false, refused = false;
    for (uint32_t words = 4; words <= 5; ++words) {  // one of them puts the elements beside a multiple of eight
      flatbuffers::FlatBufferBuilder builder;
      const auto failure =
          wire::CreateFailureDirect(builder, wire::FailureKind::Other, "", "", "", "", 0, 0, false, false, "");
      const flatbuffers::Offset<flatbuffers::Vector<uint64_t>> list(
          builder.CreateVector(std::vector<uint32_t>(words, 2)).o);
      const flatbuffers::Offset<flatbuffers::Vector<uint64_t>> none;
      builder.Finish(wire::CreateProcessNotice(builder, 4, failure, false, is_met ? none : list, is_met ? list : none));
      const auto* const begin = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
      Bytes body(begin, begin + builder.GetSize());
      auto* const table = flatbuffers::GetMutableRoot<wire::ProcessNotice>(body.data());
      const auto* const elements = (is_met ? table->met() : table->also())->Data();
      const uint32_t half = words / 2;
      std::memcpy(const_cast<uint8_t*>(elements) - 4, &half, 4);
      const bool aligned = reinterpret_cast<uintptr_t>(elements) % 8 == 0;
      EXPECT_EQ(Parse<wire::ProcessNoticeT>(body).has_value(), aligned);
      (aligned ? accepted : refused) = true;
    }
    EXPECT_TRUE(accepted);
    EXPECT_TRUE(refused);
  }
}

// An empty vector has no elements to align.
TEST(Messages, AVectorWithoutElementsIsTakenWhereverItLies) {
  for (int objects = 0; objects < 4; ++objects) {
    wire::LocateRequestT request;
    for (int i = 0; i < objects; ++i) request.objects.push_back(ToWire(ObjectId::FromRandom()));
    EXPECT_TRUE(Parse<wire::LocateRequestT>(Encode(request))) << objects;
  }
}

TEST(Ids, AProcessIdNamesItsMachineAndItsNumberThere) {
  constexpr MachineNumber machine{0xfffffffe};
  const ProcessId process = ProcessIdOf(machine, 7);
  EXPECT_EQ(MachineOf(process), machine);
  EXPECT_EQ(process - AllProcessesOf(machine), 7U);
  EXPECT_EQ(MachineOf(AllProcessesOf(machine)), machine);
  EXPECT_EQ(MachineOf(7), kNoMachine);
  EXPECT_NE(NewMachineNumber(), kNoMachine);
}

// MIN and MAX of each enum are checked where it is compiled; here are the values between them.
TEST(PeerMessages, EveryMessageLiesInTheRangeOfItsSubject) {
  const auto expect = [](PeerSubject subject, const auto& messages) {
    for (const auto message : messages) EXPECT_EQ(SubjectOf(static_cast<uint16_t>(message)), subject);
  };
  expect(PeerSubject::kChannels, wire::EnumValuesChannelMessage());
  expect(PeerSubject::kObjects, wire::EnumValuesObjectMessage());
  expect(PeerSubject::kBulk, wire::EnumValuesBulkMessage());
  expect(PeerSubject::kWork, wire::EnumValuesWorkMessage());
  expect(PeerSubject::kActors, wire::EnumValuesActorMessage());
  expect(PeerSubject::kGroups, wire::EnumValuesGroupMessage());
}

TEST(PeerMessages, ANumberOutsideEveryRangeHasNoSubject) {
  EXPECT_EQ(SubjectOf(0), std::nullopt);
  EXPECT_EQ(SubjectOf(120), std::nullopt);
  EXPECT_EQ(SubjectOf(UINT16_MAX), std::nullopt);
  EXPECT_EQ(SubjectOf(kPeerNumberedMin - 1), PeerSubject::kSession);
  EXPECT_EQ(SubjectOf(kPeerNumberedMin), PeerSubject::kChannels);
}

}  // namespace
}  // namespace raylet

#include "raylet/control/control_records.h"

#include <gtest/gtest.h>

#include "fbs/text_bounds.h"
#include "tests/harness/node_number.h"

namespace raylet {
namespace {

using test::NodeNumber;

ActorId Actor() {
  ActorId id;
  id.mutable_data()[3] = 9;
  return id;
}

const NodeRecord kNode{NodeNumber(1), 7, MachineNumber{12}, "10.0.0.1:4000", "0.1 with blanks"};
const MachineEntry kMachine{NodeNumber(1), 7};
const NameEntry kName{"", "", Actor(), 7, NodeNumber(1), -1};
const ActorPlacement kActor{Actor(), NodeNumber(1), 7, wire::ActorState::Pending};
const KeyValue kPair{"", std::string("a\0b 5:c\n", 8), 7, false};

TEST(ControlRecords, ARecordReadsAsItWasWritten) {
  EXPECT_EQ(*DecodeNode("cell", EncodeRecord(kNode)), kNode);
  EXPECT_EQ(*DecodeMachineEntry("cell", EncodeRecord(kMachine)), kMachine);
  EXPECT_EQ(*DecodeName("cell", EncodeRecord(kName)), kName);
  ActorPlacement placement = *DecodeActor("cell", EncodeRecord(kActor));
  placement.actor = kActor.actor;  // which is in the cell's name
  EXPECT_EQ(placement, kActor);
  EXPECT_EQ(*DecodeKeyValue("cell", EncodeRecord(kPair)), kPair);
}

TEST(ControlRecords, ADeletedPairKeepsItsVersionAndNoValue) {
  KeyValue deleted = kPair;
  deleted.deleted = true;
  const auto read = DecodeKeyValue("cell", EncodeRecord(deleted));
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->deleted);
  EXPECT_EQ(read->version, 7u);
  EXPECT_EQ(read->value, "");
}

// Whatever somebody wrote into the store: an error that names the cell.
template <class Decode>
void ExpectRefused(Decode decode, const std::string& text) {
  const auto read = decode("the/cell", text);
  ASSERT_FALSE(read) << text;
  EXPECT_EQ(read.error().code, ErrorCode::kProtocolError) << text;
  EXPECT_NE(read.error().message.find("the/cell"), std::string::npos) << read.error().message;
}

TEST(ControlRecords, EveryPrefixOfARecordIsRefused) {
  const std::string node = EncodeRecord(kNode), pair = EncodeRecord(kPair), actor = EncodeRecord(kActor);
  for (size_t length = 0; length < node.size(); ++length) ExpectRefused(DecodeNode, node.substr(0, length));
  for (size_t length = 0; length < pair.size(); ++length) ExpectRefused(DecodeKeyValue, pair.substr(0, length));
  for (size_t length = 0; length < actor.size(); ++length) ExpectRefused(DecodeActor, actor.substr(0, length));
}

TEST(ControlRecords, AnotherKindFormatOrNumberIsRefused) {
  const std::string node = NodeNumber(1).hex();
  ExpectRefused(DecodeNode, EncodeRecord(kMachine));
  ExpectRefused(DecodeMachineEntry, "raylet2 base " + node + " 7");
  ExpectRefused(DecodeMachineEntry, "raylet1 base " + node + " 7 more");
  ExpectRefused(DecodeMachineEntry, "raylet1 base " + node + " -7");
  ExpectRefused(DecodeMachineEntry, "raylet1 base " + node + " 18446744073709551616");
  ExpectRefused(DecodeMachineEntry, "raylet1 base " + NodeId().hex() + " 7");
  ExpectRefused(DecodeMachineEntry, "raylet1 base " + node.substr(1) + "g 7");
  ExpectRefused(DecodeActor,
                "raylet1 actor " + node + " 7 " + std::to_string(static_cast<uint64_t>(wire::ActorState::MAX) + 1));
  ExpectRefused(DecodeKeyValue, "raylet1 key 7 1 5:value");  // deleted, with a value
  ExpectRefused(DecodeKeyValue, "raylet1 key 7 2 0:");
  ExpectRefused(DecodeKeyValue, "raylet1 key 7 0 5:valu");
  ExpectRefused(DecodeKeyValue, "raylet1 key 7 0 5:valuesandmore");
  ExpectRefused(DecodeKeyValue, "raylet1 key 7 0 18446744073709551615:v");
  ExpectRefused(DecodeKeyValue, EncodeRecord(KeyValue{"", std::string(kControlValueBytesMax + 1, 'v'), 7, false}));
}

TEST(ControlRecords, ChecksTheirLimits) {
  EXPECT_TRUE(CheckRecord(kNode));
  NodeRecord node = kNode;
  node.address.assign(kControlAddressBytesMax + 1, 'a');
  EXPECT_EQ(CheckRecord(node).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(CheckRecord(NodeRecord()).error().code, ErrorCode::kInvalid);

  NameEntry name = kName;
  EXPECT_EQ(CheckRecord(name).error().code, ErrorCode::kInvalid) << "without a name";
  name.name.assign(kNameBytesMax, 'n');
  EXPECT_TRUE(CheckRecord(name));
  name.name.push_back('n');
  EXPECT_EQ(CheckRecord(name).error().code, ErrorCode::kInvalid);

  EXPECT_TRUE(CheckRecord(kActor));
  EXPECT_EQ(CheckRecord(ActorPlacement()).error().code, ErrorCode::kInvalid);

  KeyValue pair = kPair;
  EXPECT_EQ(CheckRecord(pair).error().code, ErrorCode::kInvalid) << "without a key";
  pair.key.assign(kControlKeyBytesMax, 'k');
  EXPECT_TRUE(CheckRecord(pair));
  pair.value.assign(kControlValueBytesMax + 1, 'v');
  EXPECT_EQ(CheckRecord(pair).error().code, ErrorCode::kTooLarge);
  pair.key.push_back('k');
  EXPECT_EQ(CheckRecord(pair).error().code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace raylet

// Cells of the control store. A cell that decodes is written again as the same record. Every rule takes any cell. The
// input is the cell's text.
#include "raylet/control/control_records.h"
#include "raylet/control/control_rules.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace raylet;

template <class Record>
void SameAgain(Result<Record> (*decode)(std::string_view, std::string_view), std::string_view text) {
  const auto record = decode("cell", text);
  if (!record) {
    FUZZ_ASSERT(record.error().code == ErrorCode::kProtocolError);
    return;
  }
  const auto again = decode("cell", EncodeRecord(*record));
  FUZZ_ASSERT(again.has_value());
  FUZZ_ASSERT(*again == *record);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  SameAgain<NodeRecord>(&DecodeNode, text);
  SameAgain<MachineEntry>(&DecodeMachineEntry, text);
  SameAgain<NameEntry>(&DecodeName, text);
  SameAgain<ActorPlacement>(&DecodeActor, text);
  SameAgain<KeyValue>(&DecodeKeyValue, text);

  static const NodeId node = NodeId::FromRandom();
  static const ActorId actor = ActorId::FromRandom();
  const auto written = std::make_shared<uint64_t>(0);
  const NameEntry entry{"space", "name", actor, 7, node};
  for (const CellRule& rule :
       {control_rules::RenewNode({node, 7, MachineNumber{7}, "a:1", ""}), control_rules::RemoveNode(node, 7),
        control_rules::TakeMachineNumber(MachineNumber{7}, {node, 7}), control_rules::TakeName(entry, entry),
        control_rules::RestoreName(entry), control_rules::ReleaseName(entry),
        control_rules::PlaceActor({actor, node, 7, wire::ActorState::Alive}), control_rules::ForgetActor(actor, 7),
        control_rules::PutKey("key", "value", false, written), control_rules::DeleteKey("key", written),
        control_rules::RestoreKey({"key", "value", 7, false})}) {
    const auto change = rule(text);
    // The rule must write the same again, because a change whose answer was lost is made twice.
    if (!change || change->kind != CellChange::Kind::kWrite) continue;
    const auto twice = rule(change->value);
    FUZZ_ASSERT(twice.has_value());
    FUZZ_ASSERT(twice->kind == CellChange::Kind::kKeep || twice->value == change->value);
  }
  return 0;
}

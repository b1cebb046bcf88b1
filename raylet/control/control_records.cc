#include "raylet/control/control_records.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/strings.h"
#include "fbs/text_bounds.h"
#include "raylet/scheduling/task.h"

namespace raylet {
namespace {

constexpr std::string_view kFormat = "raylet1";  // starts every record; a later format has another word here

// "raylet1 kind", then fields behind blanks: numbers, hex ids, and texts as 5:bytes.
class Writer {
 public:
  explicit Writer(std::string_view kind) : text_(StrCat(kFormat, " ", kind)) {}
  Writer& Number(uint64_t number) { return Word(std::to_string(number)); }
  template <class Tag>
  Writer& Id(const raylet::Id<Tag, 20>& id) {
    return Word(id.hex());
  }
  Writer& Text(std::string_view text) { return Word(StrCat(text.size(), ":", text)); }
  std::string Take() { return std::move(text_); }

 private:
  Writer& Word(std::string_view word) {
    text_.push_back(' ');
    text_.append(word);
    return *this;
  }
  std::string text_;
};

// Reads a record from its start. Once a field made no sense, all later fields are empty and Sound
// is false.
class Reader {
 public:
  Reader(std::string_view kind, std::string_view text) : rest_(text) { sound_ = Word() == kFormat && Word() == kind; }

  template <class Number>
  Number Take() {
    const std::string_view word = Word();
    Number number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size()) sound_ = false;
    return sound_ ? number : 0;
  }
  template <class IdType>
  IdType TakeId() {
    IdType id;
    if (!FromHex(Word(), id.mutable_data(), IdType::kSize) || id.IsNil()) sound_ = false;
    return id;
  }
  std::string TakeText(size_t bytes_max) {
    const size_t colon = rest_.find(':');
    uint64_t bytes = 0;
    const char* const first = rest_.data();
    if (colon == std::string_view::npos) return Nonsense();
    const auto [end, error] = std::from_chars(first, first + colon, bytes);
    if (error != std::errc() || end != first + colon || bytes > bytes_max || bytes > rest_.size() - colon - 1)
      return Nonsense();
    std::string text(rest_.substr(colon + 1, bytes));
    rest_.remove_prefix(colon + 1 + bytes);
    if (!rest_.empty() && rest_.front() != ' ') return Nonsense();
    if (!rest_.empty()) rest_.remove_prefix(1);
    return text;
  }
  void Require(bool condition) { sound_ = sound_ && condition; }
  bool Sound() const { return sound_ && rest_.empty(); }

 private:
  std::string_view Word() {
    const size_t blank = std::min(rest_.find(' '), rest_.size());
    const std::string_view word = rest_.substr(0, blank);
    rest_.remove_prefix(std::min(blank + 1, rest_.size()));
    return word;
  }
  std::string Nonsense() {
    sound_ = false;
    rest_ = {};
    return {};
  }
  std::string_view rest_;
  bool sound_ = true;
};

template <class Record>
Result<Record> Finish(std::string_view cell, const Reader& reader, Record record) {
  if (reader.Sound()) return record;
  return Fail(
      ErrorCode::kProtocolError,
      StrCat("the control store's cell ", cell,
             " holds something that no raylet of this release wrote: use the same release everywhere, or delete "
             "the cell"));
}

Result<void> CheckLength(const char* what, size_t bytes, size_t bytes_max) {
  if (bytes <= bytes_max) return {};
  return Fail(ErrorCode::kInvalid,
              StrCat(what, " has ", bytes, " bytes and the control store takes ", bytes_max, ": choose a shorter one"));
}

}  // namespace

std::string EncodeRecord(const NodeRecord& record) {
  return Writer("node")
      .Id(record.id)
      .Number(record.epoch)
      .Number(static_cast<uint32_t>(record.machine))
      .Text(record.address)
      .Text(record.version)
      .Take();
}

std::string EncodeRecord(const MachineEntry& entry) { return Writer("base").Id(entry.node).Number(entry.epoch).Take(); }

std::string EncodeRecord(const NameEntry& entry) {
  return Writer("name")
      .Id(entry.actor)
      .Number(entry.epoch)
      .Id(entry.node)
      .Number(static_cast<uint64_t>(int64_t{entry.max_task_retries} + 1))
      .Take();
}

std::string EncodeRecord(const ActorPlacement& placement) {
  return Writer("actor")
      .Id(placement.node)
      .Number(placement.epoch)
      .Number(static_cast<uint64_t>(placement.state))
      .Take();
}

std::string EncodeRecord(const KeyValue& pair) {
  return Writer("key").Number(pair.version).Number(pair.deleted ? 1 : 0).Text(pair.deleted ? "" : pair.value).Take();
}

Result<NodeRecord> DecodeNode(std::string_view cell, std::string_view text) {
  Reader reader("node", text);
  NodeRecord record;
  record.id = reader.TakeId<NodeId>();
  record.epoch = reader.Take<uint64_t>();
  record.machine = MachineNumber{reader.Take<uint32_t>()};
  record.address = reader.TakeText(kControlAddressBytesMax);
  record.version = reader.TakeText(kControlAddressBytesMax);
  return Finish(cell, reader, std::move(record));
}

Result<MachineEntry> DecodeMachineEntry(std::string_view cell, std::string_view text) {
  Reader reader("base", text);
  MachineEntry entry;
  entry.node = reader.TakeId<NodeId>();
  entry.epoch = reader.Take<uint64_t>();
  return Finish(cell, reader, entry);
}

Result<NameEntry> DecodeName(std::string_view cell, std::string_view text) {
  Reader reader("name", text);
  NameEntry entry;
  entry.actor = reader.TakeId<ActorId>();
  entry.epoch = reader.Take<uint64_t>();
  entry.node = reader.TakeId<NodeId>();
  const auto retries = reader.Take<uint32_t>();
  reader.Require(retries <= static_cast<uint32_t>(std::numeric_limits<int32_t>::max()));
  entry.max_task_retries = static_cast<int32_t>(retries) - 1;
  return Finish(cell, reader, std::move(entry));
}

Result<ActorPlacement> DecodeActor(std::string_view cell, std::string_view text) {
  Reader reader("actor", text);
  ActorPlacement placement;
  placement.node = reader.TakeId<NodeId>();
  placement.epoch = reader.Take<uint64_t>();
  const auto state = reader.Take<uint64_t>();
  reader.Require(state <= static_cast<uint64_t>(wire::ActorState::MAX));
  placement.state = static_cast<wire::ActorState>(state);  // read only if it is sound
  return Finish(cell, reader, placement);
}

Result<KeyValue> DecodeKeyValue(std::string_view cell, std::string_view text) {
  Reader reader("key", text);
  KeyValue pair;
  pair.version = reader.Take<uint64_t>();
  const auto deleted = reader.Take<uint64_t>();
  pair.value = reader.TakeText(kControlValueBytesMax);
  reader.Require(deleted == 0 || (deleted == 1 && pair.value.empty()));
  pair.deleted = deleted == 1;
  return Finish(cell, reader, std::move(pair));
}

Result<void> CheckRecord(const NodeRecord& record) {
  if (record.id.IsNil()) return Fail(ErrorCode::kInvalid, "a raylet without a node id cannot join a cluster");
  RAYLET_RETURN_IF_ERROR(CheckLength("a raylet's address", record.address.size(), kControlAddressBytesMax));
  return CheckLength("a raylet's version", record.version.size(), kControlAddressBytesMax);
}

Result<void> CheckRecord(const NameEntry& entry) {
  if (entry.name.empty()) return Fail(ErrorCode::kInvalid, "an actor's name is empty: give it one");
  if (entry.actor.IsNil() || entry.node.IsNil())
    return Fail(ErrorCode::kInvalid, StrCat("the name ", entry.name, " is taken for no actor or on no node"));
  RAYLET_RETURN_IF_ERROR(CheckLength("a namespace", entry.actor_namespace.size(), kNameBytesMax));
  return CheckLength("an actor's name", entry.name.size(), kNameBytesMax);
}

Result<void> CheckRecord(const ActorPlacement& placement) {
  if (!placement.actor.IsNil() && !placement.node.IsNil()) return {};
  return Fail(ErrorCode::kInvalid, "a placement has no actor id or no node");
}

Result<void> CheckRecord(const KeyValue& pair) {
  if (pair.key.empty()) return Fail(ErrorCode::kInvalid, "a key is empty: give it one");
  RAYLET_RETURN_IF_ERROR(CheckLength("a key", pair.key.size(), kControlKeyBytesMax));
  if (pair.value.size() <= kControlValueBytesMax) return {};
  return Fail(ErrorCode::kTooLarge,
              StrCat("the value of ", pair.key, " has ", pair.value.size(), " bytes and the control store takes ",
                     kControlValueBytesMax, ": put it into the object store, and its id here"));
}

}  // namespace raylet

#include "raylet/control/control_store.h"

#include <memory>
#include <utility>

#include "base/log.h"
#include "base/strings.h"

namespace raylet {
namespace {

constexpr std::string_view kNode = "node", kBase = "base", kName = "name", kActor = "actor", kKey = "key";
constexpr std::string_view kRestored = "restored";

// Names may hold any byte. The length keeps namespace a/b with name c apart from namespace a with
// name b/c.
std::string NameCell(const std::string& actor_namespace, const std::string& name) {
  return StrCat(actor_namespace.size(), ":", actor_namespace, name);
}

// Passes an error to `done`.
template <class T>
std::function<void(Error)> Refuse(Done<T> done) {
  return [done = std::move(done)](Error why) { done(Fail(std::move(why))); };
}

}  // namespace

std::string ControlStore::Cell::Key() const { return StrCat(kind, ":", name); }

Error ControlStore::TooManyListed(std::string_view kind, const std::string& prefix) {
  return {ErrorCode::kFull, StrCat("more than ", kControlListMax, " cells ", kind, prefix,
                                   "... are there, and one answer holds no more: ask for a longer prefix")};
}

template <class Record>
bool ControlStore::Sound(const Record& record, std::function<void(Error)> refused) {
  const auto sound = CheckRecord(record);
  if (!sound) Later([refused = std::move(refused), why = sound.error()] { refused(why); });
  return sound.has_value();
}

void ControlStore::ChangeOnly(Cell cell, CellRule rule, Deadline deadline, Done<void> done) {
  Change(std::move(cell), std::move(rule), deadline, [done = std::move(done)](Result<Changed> changed) {
    if (!changed) return done(Fail(std::move(changed).error()));
    done({});
  });
}

void ControlStore::WhenRestored(Deadline deadline, std::function<void(Error)> refused, std::function<void()> change) {
  IsRestored(deadline, [refused = std::move(refused), change = std::move(change)](Result<bool> restored) {
    if (!restored) return refused(std::move(restored).error());
    if (*restored) return change();
    refused({ErrorCode::kUnavailable,
             "the control store was empty, and raylets are telling it what they have: try again in a moment"});
  });
}

void ControlStore::IsRestored(Deadline deadline, Done<bool> done) {
  Read({kRestored, {}}, deadline, [done = std::move(done)](Result<CellText> text) {
    if (!text) return done(Fail(std::move(text).error()));
    done(text->has_value());
  });
}

void ControlStore::MarkRestored(Deadline deadline, Done<void> done) {
  const auto rule = [](const CellText& now) -> Result<CellChange> {
    if (now) return CellChange{};
    return CellChange{CellChange::Kind::kWrite, "raylet1 restored", Duration::zero()};
  };
  ChangeOnly({kRestored, {}}, rule, deadline, std::move(done));
}

// Nodes

void ControlStore::RenewNode(const NodeRecord& record, Deadline deadline, Done<Renewal> done) {
  if (!Sound(record, Refuse(done))) return;
  Change({kNode, record.id.hex(), true}, control_rules::RenewNode(record), deadline,
         [done = std::move(done)](Result<Changed> changed) {
           if (!changed) return done(Fail(std::move(changed).error()));
           done(Renewal{!changed->existed, changed->connection});
         });
}

void ControlStore::RemoveNode(const NodeId& node, uint64_t epoch, Deadline deadline, Done<void> done) {
  ChangeOnly({kNode, node.hex(), true}, control_rules::RemoveNode(node, epoch), deadline, std::move(done));
}

void ControlStore::ListNodes(Deadline deadline, Done<std::vector<NodeRecord>> done) {
  // A record that makes no sense is left out; the others stay.
  const auto sound = [](const std::string& name, const std::string& value) -> std::optional<std::string> {
    const auto node = DecodeNode(StrCat(kNode, ":", name), value);
    if (node) return value;
    RAYLET_LOG(kWarning, "a node is left out: ", node.error().message);
    return std::nullopt;
  };
  List(kNode, {}, sound, deadline, [done = std::move(done)](Result<std::vector<std::string>> texts) {
    if (!texts) return done(Fail(std::move(texts).error()));
    std::vector<NodeRecord> nodes;
    nodes.reserve(texts->size());
    for (const std::string& text : *texts) nodes.push_back(*DecodeNode(kNode, text));
    done(std::move(nodes));
  });
}

void ControlStore::TakeMachineNumber(MachineNumber machine, const MachineEntry& entry, Deadline deadline,
                                     Done<void> done) {
  ChangeOnly({kBase, std::to_string(static_cast<uint32_t>(machine))}, control_rules::TakeMachineNumber(machine, entry),
             deadline, std::move(done));
}

// Names

void ControlStore::TakeName(const NameEntry& entry, const std::optional<NameEntry>& instead_of, Deadline deadline,
                            Done<void> done) {
  if (!Sound(entry, Refuse(done))) return;
  WhenRestored(deadline, Refuse(done), [=, this] {
    ChangeOnly({kName, NameCell(entry.actor_namespace, entry.name)}, control_rules::TakeName(entry, instead_of),
               deadline, done);
  });
}

void ControlStore::RestoreName(const NameEntry& entry, Deadline deadline, Done<void> done) {
  if (!Sound(entry, Refuse(done))) return;
  ChangeOnly({kName, NameCell(entry.actor_namespace, entry.name)}, control_rules::RestoreName(entry), deadline,
             std::move(done));
}

void ControlStore::ReleaseName(const NameEntry& entry, Deadline deadline, Done<void> done) {
  ChangeOnly({kName, NameCell(entry.actor_namespace, entry.name)}, control_rules::ReleaseName(entry), deadline,
             std::move(done));
}

void ControlStore::FindName(const std::string& actor_namespace, const std::string& name, Deadline deadline,
                            Done<NameEntry> done) {
  Read({kName, NameCell(actor_namespace, name)}, deadline, [=, done = std::move(done)](Result<CellText> text) {
    if (!text) return done(Fail(std::move(text).error()));
    if (!*text) {
      return done(
          Fail(ErrorCode::kNotFound, StrCat("no actor has the name ", name, " in namespace '", actor_namespace, "'")));
    }
    auto entry = DecodeName(StrCat(kName, ":", name), **text);
    if (entry) {
      entry->actor_namespace = actor_namespace;
      entry->name = name;
    }
    done(std::move(entry));
  });
}

// Actors

void ControlStore::PlaceActor(const ActorPlacement& placement, Deadline deadline, Done<void> done) {
  if (!Sound(placement, Refuse(done))) return;
  ChangeOnly({kActor, placement.actor.hex()}, control_rules::PlaceActor(placement), deadline, std::move(done));
}

void ControlStore::FindActor(const ActorId& actor, Deadline deadline, Done<ActorPlacement> done) {
  Read({kActor, actor.hex()}, deadline, [=, done = std::move(done)](Result<CellText> text) {
    if (!text) return done(Fail(std::move(text).error()));
    if (!*text)
      return done(Fail(ErrorCode::kNotFound, StrCat("no node has said that actor ", actor.hex(), " is there")));
    auto placement = DecodeActor(StrCat(kActor, ":", actor.hex()), **text);
    if (placement) placement->actor = actor;
    done(std::move(placement));
  });
}

void ControlStore::ForgetActor(const ActorId& actor, uint64_t epoch, Deadline deadline, Done<void> done) {
  ChangeOnly({kActor, actor.hex()}, control_rules::ForgetActor(actor, epoch), deadline, std::move(done));
}

// Pairs

void ControlStore::ChangePair(const std::string& key, CellRule rule, std::shared_ptr<uint64_t> written,
                              Deadline deadline, Done<uint64_t> done) {
  WhenRestored(deadline, Refuse(done), [=, this] {
    Change({kKey, key, true}, rule, deadline, [written, done](Result<Changed> changed) {
      if (!changed) return done(Fail(std::move(changed).error()));
      done(*written);
    });
  });
}

void ControlStore::PutKey(const std::string& key, const std::string& value, bool only_if_absent, Deadline deadline,
                          Done<uint64_t> done) {
  if (!Sound(KeyValue{key, value, 0, false}, Refuse(done))) return;
  const auto written = std::make_shared<uint64_t>(0);
  ChangePair(key, control_rules::PutKey(key, value, only_if_absent, written), written, deadline, std::move(done));
}

void ControlStore::GetKey(const std::string& key, Deadline deadline, Done<KeyValue> done) {
  Read({kKey, key, true}, deadline, [=, done = std::move(done)](Result<CellText> text) {
    if (!text) return done(Fail(std::move(text).error()));
    Result<KeyValue> pair = Fail(ErrorCode::kNotFound, StrCat("the key ", key, " has no value"));
    if (*text) {
      auto there = DecodeKeyValue(StrCat(kKey, ":", key), **text);
      if (!there || !there->deleted) pair = std::move(there);
    }
    if (pair) pair->key = key;
    done(std::move(pair));
  });
}

void ControlStore::DeleteKey(const std::string& key, Deadline deadline, Done<uint64_t> done) {
  const auto written = std::make_shared<uint64_t>(0);
  ChangePair(key, control_rules::DeleteKey(key, written), written, deadline, std::move(done));
}

void ControlStore::ListKeys(const std::string& prefix, Deadline deadline, Done<std::vector<std::string>> done) {
  const auto living = [](const std::string& name, const std::string& value) -> std::optional<std::string> {
    const auto pair = DecodeKeyValue(kKey, value);
    if (!pair || pair->deleted) return std::nullopt;
    return name;
  };
  List(kKey, prefix, living, deadline, std::move(done));
}

void ControlStore::RestoreKey(const KeyValue& pair, Deadline deadline, Done<void> done) {
  if (!Sound(pair, Refuse(done))) return;
  ChangeOnly({kKey, pair.key, true}, control_rules::RestoreKey(pair), deadline, std::move(done));
}

}  // namespace raylet

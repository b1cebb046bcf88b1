#include "raylet/control/control_rules.h"

#include <memory>

#include "base/strings.h"

namespace raylet::control_rules {
namespace {

CellChange Keep() { return {}; }
CellChange Write(std::string value, Duration expiry = Duration::zero()) {
  return {CellChange::Kind::kWrite, std::move(value), expiry};
}
CellChange Erase() { return {CellChange::Kind::kErase, {}, {}}; }

std::string Named(const NameEntry& entry) {
  return StrCat("the name ", entry.name, " of namespace '", entry.actor_namespace, "'");
}

tl::unexpected<Error> NameTaken(const NameEntry& wanted, const NameEntry& holder) {
  return Fail(ErrorCode::kAlreadyExists,
              StrCat(Named(wanted), " belongs to actor ", holder.actor.hex(), " on node ", holder.node.hex(),
                     " (epoch ", holder.epoch, "): choose another, or end that actor first"));
}

}  // namespace

CellRule RenewNode(NodeRecord record) {
  return [record = std::move(record)](const CellText& now) -> Result<CellChange> {
    if (now) {
      const auto holder = DecodeNode(StrCat("node:", record.id.hex()), *now);
      if (!holder) return Fail(holder.error());
      const bool earlier_life_of_ours = holder->address == record.address && holder->epoch < record.epoch;
      if (holder->epoch != record.epoch && !earlier_life_of_ours) {
        return Fail(ErrorCode::kAlreadyExists,
                    StrCat("two raylets with one node id: ", record.id.hex(), " belongs to a living raylet at ",
                           holder->address, " (epoch ", holder->epoch, "), and this one is at ", record.address,
                           ": give each a node id of its own, or stop that one and wait until its lease of ",
                           kNodeLease / std::chrono::seconds(1), " s has run out"));
      }
    }
    return Write(EncodeRecord(record), kNodeLease);
  };
}

CellRule RemoveNode(NodeId node, uint64_t epoch) {
  return [node, epoch](const CellText& now) -> Result<CellChange> {
    if (!now) return Keep();
    const auto holder = DecodeNode(StrCat("node:", node.hex()), *now);
    if (!holder) return Fail(holder.error());
    return holder->epoch == epoch ? Erase() : Keep();
  };
}

CellRule TakeMachineNumber(MachineNumber machine, MachineEntry entry) {
  return [number = static_cast<uint32_t>(machine), entry](const CellText& now) -> Result<CellChange> {
    if (now) {
      const auto holder = DecodeMachineEntry(StrCat("base:", number), *now);
      if (!holder) return Fail(holder.error());
      if (*holder != entry) {
        return Fail(ErrorCode::kAlreadyExists,
                    StrCat("machine number ", number, " belongs to node ", holder->node.hex(), ": draw another"));
      }
    }
    return Write(EncodeRecord(entry), kMachineNumberKept);
  };
}

CellRule TakeName(NameEntry entry, std::optional<NameEntry> instead_of) {
  return [entry = std::move(entry), instead_of = std::move(instead_of)](const CellText& now) -> Result<CellChange> {
    if (!now) return Write(EncodeRecord(entry));
    const auto holder = DecodeName(StrCat("name:", entry.name), *now);
    if (!holder) return Fail(holder.error());
    if (holder->actor == entry.actor) {
      if (holder->epoch <= entry.epoch) return Write(EncodeRecord(entry));
      return Fail(ErrorCode::kWrongState,
                  StrCat(Named(entry), " is taken in epoch ", holder->epoch, " of the same actor, on node ",
                         holder->node.hex(), ", and this one is of epoch ", entry.epoch, ": it comes too late"));
    }
    const bool replaced = instead_of && instead_of->actor == holder->actor && instead_of->epoch == holder->epoch;
    if (replaced && entry.epoch > holder->epoch) return Write(EncodeRecord(entry));
    return NameTaken(entry, *holder);
  };
}

CellRule RestoreName(NameEntry entry) {
  return [entry = std::move(entry)](const CellText& now) -> Result<CellChange> {
    if (!now) return Write(EncodeRecord(entry));
    const auto holder = DecodeName(StrCat("name:", entry.name), *now);
    if (!holder) return Fail(holder.error());
    if (holder->epoch < entry.epoch) return Write(EncodeRecord(entry));
    if (holder->actor == entry.actor && holder->epoch == entry.epoch) return Keep();
    return NameTaken(entry, *holder);
  };
}

CellRule ReleaseName(NameEntry entry) {
  return [entry = std::move(entry)](const CellText& now) -> Result<CellChange> {
    if (!now) return Keep();
    const auto holder = DecodeName(StrCat("name:", entry.name), *now);
    if (!holder) return Fail(holder.error());
    return holder->actor == entry.actor && holder->epoch <= entry.epoch ? Erase() : Keep();
  };
}

CellRule PlaceActor(ActorPlacement placement) {
  return [placement](const CellText& now) -> Result<CellChange> {
    if (now) {
      const auto there = DecodeActor(StrCat("actor:", placement.actor.hex()), *now);
      if (!there) return Fail(there.error());
      const bool later = there->epoch > placement.epoch;
      if (later || (there->epoch == placement.epoch && there->node != placement.node)) {
        return Fail(ErrorCode::kWrongState,
                    StrCat("actor ", placement.actor.hex(), " is on node ", there->node.hex(), " in epoch ",
                           there->epoch, ", and this placement on node ", placement.node.hex(), " is of epoch ",
                           placement.epoch, ": it comes too late"));
      }
    }
    const bool dead = placement.state == wire::ActorState::Dead;
    return Write(EncodeRecord(placement), dead ? kDeathKept : Duration::zero());
  };
}

CellRule ForgetActor(ActorId actor, uint64_t epoch) {
  return [actor, epoch](const CellText& now) -> Result<CellChange> {
    if (!now) return Keep();
    const auto there = DecodeActor(StrCat("actor:", actor.hex()), *now);
    if (!there) return Fail(there.error());
    return there->epoch <= epoch ? Erase() : Keep();
  };
}

CellRule PutKey(std::string key, std::string value, bool only_if_absent, std::shared_ptr<uint64_t> written) {
  return [=](const CellText& now) -> Result<CellChange> {
    KeyValue pair{key, value, 1, false};
    if (now) {
      const auto there = DecodeKeyValue(StrCat("key:", key), *now);
      if (!there) return Fail(there.error());
      if (!there->deleted && there->value == value) {  // from an earlier try whose answer was lost, or an equal value
        *written = there->version;
        return Keep();
      }
      if (only_if_absent && !there->deleted) {
        return Fail(ErrorCode::kAlreadyExists,
                    StrCat("the key ", key, " has a value already (version ", there->version, ")"));
      }
      pair.version = there->version + 1;
    }
    *written = pair.version;
    return Write(EncodeRecord(pair));
  };
}

CellRule DeleteKey(std::string key, std::shared_ptr<uint64_t> written) {
  return [=](const CellText& now) -> Result<CellChange> {
    *written = 0;
    if (!now) return Keep();
    const auto there = DecodeKeyValue(StrCat("key:", key), *now);
    if (!there) return Fail(there.error());
    *written = there->deleted ? there->version : there->version + 1;
    if (there->deleted) return Keep();
    return Write(EncodeRecord(KeyValue{key, {}, *written, true}), kDeathKept);
  };
}

CellRule RestoreKey(KeyValue pair) {
  return [pair = std::move(pair)](const CellText& now) -> Result<CellChange> {
    if (now) {
      auto there = DecodeKeyValue(StrCat("key:", pair.key), *now);
      if (!there) return Fail(there.error());
      there->key = pair.key;
      if (*there == pair) return Keep();
      if (there->version >= pair.version) {
        return Fail(ErrorCode::kWrongState, StrCat("the key ", pair.key, " has version ", there->version,
                                                   " now, and ours is ", pair.version, ": it comes too late"));
      }
    }
    return Write(EncodeRecord(pair), pair.deleted ? kDeathKept : Duration::zero());
  };
}

}  // namespace raylet::control_rules

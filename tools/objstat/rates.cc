#include "tools/objstat/rates.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "tools/objstat/screen.h"

namespace raylet::objstat {
namespace {

// Of one life of one daemon.
const Snapshot* Comparable(const Snapshot* earlier, const Snapshot& now) {
  const bool same = earlier != nullptr && earlier->daemon_pid == now.daemon_pid && earlier->up_ms < now.up_ms;
  return same ? earlier : nullptr;
}

double EachSecond(uint64_t now, uint64_t earlier, uint64_t over_ms) {
  return now < earlier || over_ms == 0 ? 0 : static_cast<double>(now - earlier) * 1000 / static_cast<double>(over_ms);
}

std::string Amount(double value) {
  if (value >= 10 || value == 0) return StrCat(static_cast<uint64_t>(std::llround(value)));
  const auto tenths = static_cast<uint64_t>(std::llround(value * 10));
  return StrCat(tenths / 10, ".", tenths % 10);
}

// "1 create", "0.5 creates".
std::string Amount(double value, const char* thing) {
  const std::string amount = Amount(value);
  return StrCat(amount, " ", thing, amount == "1" || amount == "1.0" ? "" : "s");
}

std::string Bytes(double value) { return FormatBytes(static_cast<uint64_t>(std::llround(value))); }

}  // namespace

Rates RatesBetween(const Snapshot* earlier, const Snapshot& now) {
  earlier = Comparable(earlier, now);
  const Counters before = earlier == nullptr ? Counters{} : earlier->counters;
  Rates rates;
  rates.over_ms = now.up_ms - (earlier == nullptr ? 0 : earlier->up_ms);
  const auto rate = [&](uint64_t Counters::*counter) {
    return EachSecond(now.counters.*counter, before.*counter, rates.over_ms);
  };
  rates.creates = rate(&Counters::creates);
  rates.seals = rate(&Counters::seals);
  rates.deletes = rate(&Counters::deletes);
  rates.evictions = rate(&Counters::evictions);
  rates.evicted_bytes = rate(&Counters::evicted_bytes);
  rates.full_failures = rate(&Counters::full_failures);
  rates.spilled_bytes = rate(&Counters::spilled_out_bytes);
  rates.restored_bytes = rate(&Counters::restored_bytes);
  return rates;
}

std::string RatesText(const Rates& rates) {
  return StrCat("each second, over the last ", FormatAge(rates.over_ms), ": ", Amount(rates.creates, "create"), ", ",
                Amount(rates.seals, "seal"), ", ", Amount(rates.deletes, "delete"), ", ",
                Amount(rates.evictions, "eviction"), " of ", Bytes(rates.evicted_bytes), ", ",
                Amount(rates.full_failures, "time"), " full",
                rates.spilled_bytes > 0 || rates.restored_bytes > 0
                    ? StrCat(", ", Bytes(rates.spilled_bytes), " spilled, ", Bytes(rates.restored_bytes), " restored")
                    : "",
                "\n");
}

nlohmann::json RatesJson(const Rates& rates) {
  return {{"over_ms", rates.over_ms},
          {"creates", rates.creates},
          {"seals", rates.seals},
          {"deletes", rates.deletes},
          {"evictions", rates.evictions},
          {"evicted_bytes", rates.evicted_bytes},
          {"full_failures", rates.full_failures},
          {"spilled_bytes", rates.spilled_bytes},
          {"restored_bytes", rates.restored_bytes}};
}

std::vector<TopRow> TopClients(const Snapshot* earlier, const Snapshot& now) {
  earlier = Comparable(earlier, now);
  std::vector<TopRow> rows;
  for (const Client& client : now.clients) {
    const Client* const before = earlier == nullptr ? nullptr : earlier->FindClient(client.number);
    // One that came meanwhile has been there for less.
    const uint64_t over_ms =
        std::min(client.connected_ms_ago, now.up_ms - (before == nullptr ? uint64_t{0} : earlier->up_ms));
    rows.push_back({&client, client.pinned_bytes + client.owned_bytes + client.unsealed_bytes,
                    EachSecond(client.created_count, before == nullptr ? 0 : before->created_count, over_ms),
                    EachSecond(client.created_bytes, before == nullptr ? 0 : before->created_bytes, over_ms)});
  }
  std::ranges::stable_sort(rows, [](const TopRow& a, const TopRow& b) {
    return a.kept_bytes != b.kept_bytes ? a.kept_bytes > b.kept_bytes : a.created_bytes > b.created_bytes;
  });
  return rows;
}

std::string TopText(const Snapshot* earlier, const Snapshot& now, size_t most, Look look) {
  const std::vector<TopRow> rows = TopClients(earlier, now);
  std::string out = HeadlineIfDead(now, look) + RatesText(RatesBetween(earlier, now));
  std::vector<std::vector<std::string>> table = {
      {"PROGRAM", "NAME", "PID", "CLIENT", "PINNED", "OWNED", "UNSEALED", "CREATES/S", "BYTES/S"}};
  for (size_t i = 0; i < std::min(most, rows.size()); ++i) {
    const Client& client = *rows[i].client;
    table.push_back({NameOr(client.program, "-"), NameOr(client.name, "-"), StrCat(client.pid), StrCat(client.number),
                     client.pins ? FormatBytes(client.pinned_bytes) : "unknown", FormatBytes(client.owned_bytes),
                     FormatBytes(client.unsealed_bytes), Amount(rows[i].creates), Bytes(rows[i].created_bytes)});
  }
  out += Table(table, 2, look);
  if (rows.size() > most) out += StrCat("  and ", rows.size() - most, " more (--limit shows more)\n");
  return out;
}

nlohmann::json TopJson(const Snapshot* earlier, const Snapshot& now, size_t most) {
  const std::vector<TopRow> rows = TopClients(earlier, now);
  auto clients = nlohmann::json::array();
  for (size_t i = 0; i < std::min(most, rows.size()); ++i) {
    const Client& client = *rows[i].client;
    clients.push_back({{"client", client.number},
                       {"pid", client.pid},
                       {"name", client.name},
                       {"program", client.program},
                       {"pinned_bytes", client.pins ? nlohmann::json(client.pinned_bytes) : nlohmann::json(nullptr)},
                       {"owned_bytes", client.owned_bytes},
                       {"unsealed_bytes", client.unsealed_bytes},
                       {"creates", rows[i].creates},
                       {"created_bytes", rows[i].created_bytes}});
  }
  return {{"rates", RatesJson(RatesBetween(earlier, now))}, {"clients", clients}};
}

}  // namespace raylet::objstat

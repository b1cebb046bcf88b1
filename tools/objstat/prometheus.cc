#include "tools/objstat/prometheus.h"

#include <charconv>
#include <string_view>

#include "base/strings.h"
#include "fbs/store_metrics.h"

namespace raylet::objstat {
namespace {

// Without a locale, and without loss.
std::string Number(double value) {
  char text[64];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  return error == std::errc() ? std::string(text, end) : "NaN";
}

class Text {
 public:
  void Add(std::string_view name, std::string_view help, bool counter, std::string_view label, std::string_view value,
           double number) {
    if (name != last_) {
      text_ += StrCat("# HELP ", name, " ", help, "\n# TYPE ", name, counter ? " counter\n" : " gauge\n");
      last_ = name;
    }
    text_ += label.empty() ? StrCat(name, " ", Number(number), "\n")
                           : StrCat(name, "{", label, "=\"", value, "\"} ", Number(number), "\n");
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::string last_;
};

}  // namespace

std::string PrometheusText(const Snapshot& snapshot, const std::vector<double>& metrics) {
  Text out;
  size_t i = 0;
  for (const StoreMetric& metric : StoreMetrics())
    out.Add(metric.name, metric.help, metric.counter, metric.label, metric.label_value, metrics[i++]);
  const auto gauge = [&out](const char* name, const char* help, double number) {
    out.Add(name, help, false, "", "", number);
  };
  const auto place = [&out](const char* value, const Sum& sum) {
    out.Add("plasma_store_place_bytes", "Bytes of objects by their place in the ledger.", false, "place", value,
            static_cast<double>(sum.bytes));
  };
  const Ledger& ledger = snapshot.ledger;
  place("pinned", ledger.pinned);
  place("evictable", ledger.evictable);
  place("protected", ledger.protected_objects);
  place("unsealed", ledger.unsealed);
  place("dying", ledger.dying);
  place("spilled", ledger.spilled);
  gauge("plasma_store_largest_run_bytes", "Bytes of the largest object that fits without evicting any.",
        static_cast<double>(snapshot.largest_run_bytes));
  if (snapshot.resident_bytes)
    gauge("plasma_store_resident_bytes", "Bytes of the machine's memory that the arena has.",
          static_cast<double>(*snapshot.resident_bytes));
  gauge("plasma_store_unknown_pin_pages", "Clients whose pins could not be read.", snapshot.unknown_pin_pages);
  gauge("plasma_store_up", "1 while the store lives and is not stopped.",
        snapshot.daemon_alive && !snapshot.daemon_stopped ? 1 : 0);
  gauge("plasma_store_ledger_adds_up", "1 if every byte of the capacity is in one place.", ledger.AddsUp() ? 1 : 0);
  return out.text();
}

}  // namespace raylet::objstat

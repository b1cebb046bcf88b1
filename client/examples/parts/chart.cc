#include "parts/chart.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace example {
namespace {

constexpr double kWidth = 720, kHeight = 420;
constexpr double kLeft = 70, kRight = 20, kTop = 40, kBottom = 50;
constexpr std::array kColours = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf"};

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '<') {
      escaped += "&lt;";
    } else if (c == '&') {
      escaped += "&amp;";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

// An axis from `low` to `high`, whose ticks are round numbers.
struct Axis {
  Axis(double least, double most) : low(least), high(most > least ? most : least + 1) {
    const double magnitude = std::pow(10, std::floor(std::log10((high - low) / 4)));
    step = magnitude;
    for (const double factor : {2.0, 5.0, 10.0})
      if ((high - low) / step > 6) step = factor * magnitude;
    low = std::floor(low / step) * step;
    high = std::ceil(high / step) * step;
  }
  std::vector<double> Ticks() const {
    std::vector<double> ticks;
    for (int i = 0; low + i * step <= high + step / 1000; ++i) ticks.push_back(low + i * step);
    return ticks;
  }
  double low, high, step;
};

std::string Label(double x, double y, const std::string& anchor, const std::string& text,
                  const std::string& more = "") {
  return "<text x=\"" + Number(x) + "\" y=\"" + Number(y) + "\" text-anchor=\"" + anchor + "\"" + more + ">" +
         Escaped(text) + "</text>\n";
}

void Write(const std::string& file, const std::string& content) {
  std::ofstream out(file);
  out << content;
  out.close();
  if (!out) throw std::runtime_error("the file " + file + " cannot be written: " + std::strerror(errno));
}

}  // namespace

std::string SvgOf(const Chart& chart) {
  double x_low = HUGE_VAL, x_high = -HUGE_VAL, y_low = chart.bars ? 0 : HUGE_VAL, y_high = -HUGE_VAL;
  for (const Line& line : chart.lines)
    for (const auto& [x, y] : line.points) {
      x_low = std::min(x_low, x);
      x_high = std::max(x_high, x);
      y_low = std::min(y_low, y);
      y_high = std::max(y_high, y);
    }
  if (x_low > x_high) x_low = x_high = y_low = y_high = 0;  // no points
  const Axis across(x_low, x_high + (chart.bars ? 1 : 0)), up(y_low, y_high);
  const auto at_x = [&](double x) {
    return kLeft + (x - across.low) / (across.high - across.low) * (kWidth - kLeft - kRight);
  };
  const auto at_y = [&](double y) {
    return kHeight - kBottom - (y - up.low) / (up.high - up.low) * (kHeight - kTop - kBottom);
  };
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + Number(kWidth) + "\" height=\"" +
                    Number(kHeight) + "\" font-family=\"sans-serif\" font-size=\"12\">\n" +
                    "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n" +
                    Label(kWidth / 2, 22, "middle", chart.title, " font-size=\"15\"");
  for (const double tick : across.Ticks()) svg += Label(at_x(tick), kHeight - kBottom + 18, "middle", Number(tick));
  for (const double tick : up.Ticks()) {
    svg += "<line x1=\"" + Number(kLeft) + "\" x2=\"" + Number(kWidth - kRight) + "\" y1=\"" + Number(at_y(tick)) +
           "\" y2=\"" + Number(at_y(tick)) + "\" stroke=\"#dddddd\"/>\n" +
           Label(kLeft - 6, at_y(tick) + 4, "end", Number(tick));
  }
  svg += Label((kLeft + kWidth - kRight) / 2, kHeight - 12, "middle", chart.x);
  svg += Label(16, kHeight / 2, "middle", chart.y, " transform=\"rotate(-90 16 " + Number(kHeight / 2) + ")\"");
  for (size_t i = 0; i < chart.lines.size(); ++i) {
    const Line& line = chart.lines[i];
    const std::string colour = kColours[i % kColours.size()];
    if (chart.bars) {
      const double width = (at_x(across.low + 1) - at_x(across.low)) / static_cast<double>(chart.lines.size());
      for (const auto& [x, y] : line.points)
        svg += "<rect x=\"" + Number(at_x(x) + width * static_cast<double>(i)) + "\" y=\"" + Number(at_y(y)) +
               "\" width=\"" + Number(width * 0.9) + "\" height=\"" + Number(at_y(0) - at_y(y)) + "\" fill=\"" +
               colour + "\"/>\n";
    } else {
      svg += "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"" + colour + "\" points=\"";
      for (const auto& [x, y] : line.points) svg += Number(at_x(x)) + "," + Number(at_y(y)) + " ";
      svg += "\"/>\n";
    }
    svg += Label(kWidth - kRight - 4, kTop + 14 + 16 * static_cast<double>(i), "end", line.name,
                 " fill=\"" + colour + "\"");
  }
  return svg + "</svg>\n";
}

std::string CsvOf(const std::vector<Chart>& charts) {
  std::string csv = "chart,line,x,y\n";
  for (const Chart& chart : charts)
    for (const Line& line : chart.lines)
      for (const auto& [x, y] : line.points)
        csv += Quoted(chart.title) + "," + Quoted(line.name) + "," + Number(x) + "," + Number(y) + "\n";
  return csv;
}

void WriteCharts(const std::string& stem, const std::vector<Chart>& charts) {
  Write(stem + ".csv", CsvOf(charts));
  for (size_t i = 0; i < charts.size(); ++i)
    Write(stem + (i == 0 ? "" : "-" + std::to_string(i + 1)) + ".svg", SvgOf(charts[i]));
}

}  // namespace example

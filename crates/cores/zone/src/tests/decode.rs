//! A decoder of replies, written from RFC 1035 alone and apart from the code under test. It panics on anything odd.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A decoded message; records as `owner ttl TYPE data`.
#[derive(Debug)]
pub struct Message {
    pub id: u16,
    pub rcode: u16,
    pub aa: bool,
    pub tc: bool,
    pub rd: bool,
    pub ra: bool,
    pub question: String,
    pub answer: Vec<String>,
    pub authority: Vec<String>,
    pub additional: Vec<String>,
    /// The OPT record: size, version, DO.
    pub opt: Option<(u16, u8, bool)>,
    pub bytes: usize,
}

pub fn type_number(name: &str) -> u16 {
    TYPES.iter().find(|(text, _)| *text == name).map(|(_, number)| *number).expect("a known type")
}

const TYPES: &[(&str, u16)] = &[
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("HINFO", 13),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
    ("DS", 43),
    ("IXFR", 251),
    ("AXFR", 252),
    ("ANY", 255),
];

struct Reader<'m> {
    bytes: &'m [u8],
    at: usize,
}

impl Message {
    pub fn decode(bytes: &[u8]) -> Message {
        let mut reader = Reader { bytes, at: 0 };
        let (id, flags) = (reader.u16(), reader.u16());
        assert_eq!(flags & 0xf800, 0x8000, "a reply to a standard query");
        let counts: Vec<u16> = (0..4).map(|_| reader.u16()).collect();
        let mut question = String::new();
        if counts[0] == 1 {
            question = format!("{} {}", reader.name(), type_name(reader.u16()));
            reader.u16();
        }
        let mut message = Message {
            id,
            rcode: flags & 0xf,
            aa: flags & 0x400 != 0,
            tc: flags & 0x200 != 0,
            rd: flags & 0x100 != 0,
            ra: flags & 0x80 != 0,
            question,
            answer: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
            opt: None,
            bytes: bytes.len(),
        };
        for (section, count) in (1..).zip(&counts[1..]) {
            for _ in 0..*count {
                message.record(section, &mut reader);
            }
        }
        assert_eq!(reader.at, bytes.len(), "nothing behind the last record");
        message
    }

    fn record(&mut self, section: usize, reader: &mut Reader<'_>) {
        let owner = reader.name();
        let (rtype, class, ttl) = (reader.u16(), reader.u16(), u32::from(reader.u16()) << 16 | u32::from(reader.u16()));
        let length = reader.u16() as usize;
        let end = reader.at + length;
        if rtype == 41 {
            assert!(self.opt.is_none() && owner == "." && section == 3 && length == 0);
            self.opt = Some((class, (ttl >> 16) as u8, ttl & 0x8000 != 0));
            self.rcode |= (ttl >> 24 << 4) as u16;
            return;
        }
        assert_eq!(class, 1);
        let text = format!("{owner} {ttl} {} {}", type_name(rtype), reader.data(rtype, length));
        assert_eq!(reader.at, end, "{text}");
        let records = [&mut self.answer, &mut self.authority, &mut self.additional];
        records.into_iter().nth(section - 1).unwrap().push(text);
    }
}

impl Reader<'_> {
    fn u16(&mut self) -> u16 {
        self.at += 2;
        u16::from_be_bytes([self.bytes[self.at - 2], self.bytes[self.at - 1]])
    }

    fn name(&mut self) -> String {
        let (text, end) = read_name(self.bytes, self.at, 0);
        self.at = end;
        if text.is_empty() { ".".to_owned() } else { text }
    }

    fn take(&mut self, length: usize) -> &[u8] {
        self.at += length;
        &self.bytes[self.at - length..self.at]
    }

    fn data(&mut self, rtype: u16, length: usize) -> String {
        match type_name(rtype) {
            "A" => Ipv4Addr::from(<[u8; 4]>::try_from(self.take(length)).unwrap()).to_string(),
            "AAAA" => Ipv6Addr::from(<[u8; 16]>::try_from(self.take(length)).unwrap()).to_string(),
            "NS" | "CNAME" | "PTR" => self.name(),
            "SRV" => format!("{} {} {} {}", self.u16(), self.u16(), self.u16(), self.name()),
            "SOA" => {
                let names = format!("{} {}", self.name(), self.name());
                let numbers: Vec<String> =
                    (0..5).map(|_| (u32::from(self.u16()) << 16 | u32::from(self.u16())).to_string()).collect();
                format!("{names} {}", numbers.join(" "))
            }
            "TXT" => {
                let text = String::from_utf8(self.take(length).to_vec()).unwrap();
                assert_eq!(usize::from(text.as_bytes()[0]), length - 1);
                format!("{:?}", &text[1..])
            }
            other => panic!("a record of type {other}"),
        }
    }
}

fn read_name(bytes: &[u8], at: usize, depth: usize) -> (String, usize) {
    assert!(depth < 10, "a loop of pointers");
    match bytes[at] {
        0 => (String::new(), at + 1),
        high if high >= 0xc0 => {
            let to = usize::from(high & 0x3f) << 8 | usize::from(bytes[at + 1]);
            (read_name(bytes, to, depth + 1).0, at + 2)
        }
        length => {
            let next = at + 1 + usize::from(length);
            let label = std::str::from_utf8(&bytes[at + 1..next]).unwrap();
            let (rest, end) = read_name(bytes, next, depth);
            (format!("{label}.{rest}"), end)
        }
    }
}

fn type_name(number: u16) -> &'static str {
    TYPES.iter().find(|(_, other)| *other == number).map_or("?", |(text, _)| *text)
}
